"""Blocks of an accelerator, each alone in a harness with three pins."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from amaranth import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring

from hw.common.divide import Divider
from hw.contract.boards import board_hardware
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS
from hw.control.controller import Controller
from hw.control.csr import Csr
from hw.matmul.array import PEArray
from hw.matmul.drain import Drain
from hw.matmul.fetch import Fetcher
from hw.matmul.matmul import MatrixPath
from hw.matmul.requant import Requantizer
from hw.matmul.sequencer import Sequencer
from hw.memory.bursts import Bursts
from hw.memory.guard import Guard
from hw.memory.read import ReadPort
from hw.memory.write import WritePort
from hw.spike.buffer import SpikeBuffer
from hw.spike.encoder import Encoder
from hw.spike.events import EventQueue
from hw.spike.kv_cache import CacheWriter
from hw.spike.neuron import Neuron
from hw.spike.threshold import Threshold
from hw.spike.train import SpikeTrain
from hw.top import SpikeloomTop
from hw.vector.argmax import Argmax
from hw.vector.elementwise import Rotator, SwiGlu
from hw.vector.multiply import Multipliers
from hw.vector.norm import Norm, squares_width
from hw.vector.softmax import Softmax
from hw.vector.unit import VectorUnit

__all__ = ["BLOCKS", "CONFIGURATIONS", "Harness", "Parts"]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Components by name, and which of their inputs are outputs of each other.

    `wires` are pairs of an input and what drives it, `streams` of a stream's taker and its giver.
    """

    components: dict[str, wiring.Component]
    wires: list[tuple[Value, Value]] = field(default_factory=list)
    streams: list[tuple] = field(default_factory=list)


class Harness(Elaboratable):
    """Drive a block from a shift register and fold its outputs into one, a bit a cycle.

    Every path of the block lies between registers, and no path of the harness is longer than one
    LUT.

    Parameters
    ----------
    parts : Parts
        The block.
    """

    HELD = ("harness_in", "harness_held", "harness_out")
    """Names of the harness' own registers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.i = Signal()
        self.o = Signal()

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        driven = []
        for taker, giver in self._parts.streams:
            m.d.comb += [taker.payload.eq(giver.payload), taker.valid.eq(giver.valid)]
            driven += [taker.payload, taker.valid]
            if isinstance(_bits(giver.ready), Signal):  # else it is always ready
                m.d.comb += giver.ready.eq(taker.ready)
                driven.append(giver.ready)
        for taker, giver in self._parts.wires:
            m.d.comb += taker.eq(giver)
            driven.append(taker)
        taken = {id(_bits(value)) for value in driven}
        inputs, outputs = [], []
        for name, component in self._parts.components.items():
            m.submodules[name] = component
            for _, member, port in component.signature.flatten(component):
                bits = _bits(port)
                if not isinstance(bits, Signal) or not len(bits):
                    continue  # constant
                if member.flow is wiring.Out:
                    outputs.append(bits)
                elif id(bits) not in taken:
                    inputs.append(bits)
        into, out_of = Cat(*inputs), Cat(*outputs)
        first, held, folded = (
            Signal(len(value), name=name, attrs={"keep": 1})
            for name, value in zip(self.HELD, (into, out_of, out_of), strict=True)
        )
        m.d.sync += [
            first.eq(Cat(self.i, first)),
            held.eq(out_of),
            folded.eq(held ^ Cat(0, folded)),
        ]
        m.d.comb += [into.eq(first), self.o.eq(folded[-1])]
        return m


def _bits(value) -> Value:
    return Value.cast(value)


def _alone(component: type) -> Callable[[HwParams], Parts]:
    return lambda params: Parts(components={"block": component(params)})


def _multiplying(component: type) -> Callable[[HwParams], Parts]:
    def parts(params: HwParams) -> Parts:
        block, multipliers = component(params), Multipliers(params)
        return Parts(
            components={"block": block, "multipliers": multipliers},
            wires=[
                (multipliers.move, block.move),
                (multipliers.factors, block.factors),
                (block.products, multipliers.products),
            ],
        )

    return parts


def _array(params: HwParams) -> Parts:
    sequencer, array = Sequencer(params), PEArray(params)
    return Parts(
        components={"sequencer": sequencer, "array": array},
        streams=[(array.i, sequencer.o)],
        wires=[
            (sequencer.array_idle, array.idle),
            (sequencer.array_storing, array.storing),
        ],
    )


def _events(params: HwParams) -> Parts:
    spikes, events = SpikeBuffer(params), EventQueue(params)
    return Parts(
        components={"spikes": spikes, "events": events},
        wires=[
            *(
                (getattr(spikes, name), getattr(events, name))
                for name in ("scan_address", "scan_enable", "channel", "channel_enable")
            ),
            *(
                (getattr(events, name), getattr(spikes, name))
                for name in ("channels", "ready_words", "scan_fires", "counts")
            ),
        ],
    )


def _identity(params: HwParams) -> int:
    return int(fingerprint(params), 16)


def _registers(params: HwParams) -> Parts:
    widths = dict.fromkeys(COUNTERS, 1)
    widths["synaptic_operations"] = (params.tokens * params.lanes).bit_length()
    for name in ("weight_bytes_read", "dram_bytes_read", "dram_bytes_written"):
        widths[name] = params.axi_bytes.bit_length()
    return Parts(components={"block": Csr(params, _identity(params), widths)})


BLOCKS: dict[str, Callable[[HwParams], Parts]] = {
    "requantizer": _alone(Requantizer),
    "norm": _multiplying(Norm),
    "softmax": _multiplying(Softmax),
    "SwiGLU": _multiplying(SwiGlu),
    "rotator": _multiplying(Rotator),
    "argmax": _alone(Argmax),
    "divider": lambda p: Parts(components={"block": Divider(squares_width(p), 32)}),
    "encoder": _alone(Encoder),
    "neuron": _alone(Neuron),
    "threshold": _alone(Threshold),
    "cache writer": _alone(CacheWriter),
    "event queue": _events,
    "spike train": _alone(SpikeTrain),
    "array": _array,
    "array of 32 lanes": lambda p: _array(replace(p, lanes=32, banks=32)),
    "fetcher": _alone(Fetcher),
    "bursts": lambda p: Parts(components={"block": Bursts(p, p.max_burst_words)}),
    "read port": _alone(ReadPort),
    "write port": _alone(WritePort),
    "guard": _alone(Guard),
    "drain": _alone(Drain),
    "controller": lambda p: Parts(components={"block": Controller(p, _identity(p))}),
    "registers": _registers,
    "vector unit": _alone(VectorUnit),
    "matrix path": _alone(MatrixPath),
}
"""By name, what builds a block of an accelerator."""

CONFIGURATIONS: dict[str, Callable[[], Parts]] = {
    name: lambda params=params: _alone(SpikeloomTop)(params)
    for name, params in (
        ("test", preset("test")),
        ("ecpix5-85f", board_hardware("ecpix5-85f").params),
    )
}
"""Whole accelerators by name: the smallest preset, and what stands for boards with an 85F."""
