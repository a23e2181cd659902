"""The cycle device: the functional device, and an exact model of the time the hardware takes.

The model, in C++ in ``sim/cycle_model``, has a block for each block of the hardware, with the same
registers and handshakes and none of the data. On its bus is the memory of the RTL's simulation.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.program import Compiled
from hw.isa import HEADER, SLOT_BYTES, Coding, Opcode
from hw.neuron import Neuron
from hw.params import HwParams
from hw.regs import Error
from hw.threshold import Threshold
from sim.cycle_model import library as c
from sim.device import Result
from sim.errors import HardwareFault
from sim.functional import Functional, Observation
from sim.rtl import Timing

__all__ = ["Batch", "Cycle", "predict"]

_MANTISSA_WIDTH = 16  # of a threshold as the requantizer takes it
_CYCLES_AT_ONCE = 1 << 20
_IDLE_CYCLES = 24
"""From the memory's reset to the start, where a process of the RTL's simulation runs one program:
what sim/bench/host.py takes over the registers. Only random numbers have moved on by then."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What an ENCODE finds.

    Attributes
    ----------
    counts : ndarray
        Spike counts, (tokens, channels), integers.
    thresholds : sequence of int
        V of each token.
    """

    counts: np.ndarray
    thresholds: Sequence[int]


class Cycle:
    """The cycle device; see `sim.device.Device`.

    Parameters
    ----------
    timing : Timing
        The memory's. Stalls and seed mean what they mean to an rtl device that runs one program.
    progress : callable
        Is given the bytes read so far, now and then.
    """

    name = "cycle"

    def __init__(
        self,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        progress: Callable[[int], None] = lambda _bytes_read: None,
    ) -> None:
        self._timing, self._progress = timing, progress

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute the program once; see `sim.device.Device.run`.

        Raises
        ------
        HardwareFault
            Where the modelled hardware breaks the bus's protocol, or does not come to an end.
        """
        batches: list[Batch] = []

        def observe(seen: Observation) -> None:
            if seen.opcode is Opcode.ENCODE:
                batches.append(Batch(counts=seen.counts, thresholds=seen.thresholds))

        result = Functional(observe).run(compiled, inputs)
        if result.error is not Error.NONE:  # the model knows the way to an END only
            return result
        counters = predict(
            compiled.params,
            compiled.instructions(),
            batches,
            timing=self._timing,
            program_address=compiled.program_address,
            memory_bytes=compiled.memory_bytes,
            progress=self._progress,
        )
        return Result(outputs=result.outputs, counters=counters, error=result.error)


def predict(
    params: HwParams,
    instructions: Sequence[tuple[Opcode, Mapping[str, int]]],
    batches: Sequence[Batch],
    *,
    timing: Timing,
    program_address: int,
    memory_bytes: int,
    progress: Callable[[int], None] = lambda _bytes_read: None,
) -> dict[str, int]:
    """Return the counters that the hardware will have at the end of a program.

    Parameters
    ----------
    params : HwParams
        The hardware.
    instructions : sequence
        The program, decoded, up to its END.
    batches : sequence of Batch
        For each ENCODE, in order.
    timing : Timing
        The memory's.
    program_address, memory_bytes : int
        Where the program's header is, and the extent of memory.
    progress : callable
        Is given the bytes read so far, now and then.

    Returns
    -------
    dict of str to int
        Every counter of `hw.regs.COUNTERS`.

    Raises
    ------
    HardwareFault
        Where the modelled hardware breaks the bus's protocol, or does not come to an end.
    """
    kept: list[np.ndarray] = []  # what the instructions point to
    program = _program(params, instructions, batches, kept)
    functions = c.library()
    memory = c.Timing(
        memory_bytes=memory_bytes,
        latency=timing.latency,
        stalls=timing.stalls,
        seed=timing.seed,
        idle_cycles=_IDLE_CYCLES,
    )
    model = functions.cycle_model_open(
        _params(params), memory, program, len(program), program_address
    )
    if not model:
        raise OSError(f"{memory_bytes:,} bytes of memory cannot be mapped")
    counters = c.Counters()
    try:
        done = -1
        while functions.cycle_model_run(model, _CYCLES_AT_ONCE):
            functions.cycle_model_counters(model, counters)
            progress(counters.dram_bytes_read)
            before = done
            done = counters.dram_bytes_read + counters.dram_bytes_written + counters.array_cycles
            if done == before:
                raise HardwareFault(f"the cycle model did nothing for {_CYCLES_AT_ONCE:,} cycles")
        functions.cycle_model_counters(model, counters)
        fault = functions.cycle_model_fault(model).decode()
    finally:
        functions.cycle_model_close(model)
    if fault:
        raise HardwareFault(f"the memory of the cycle model saw a fault: {fault}")
    return {name: getattr(counters, name) for name, _ in counters._fields_}


def _params(params: HwParams) -> c.Params:
    p = params
    return c.Params(
        **{name: getattr(p, name) for name, _ in c.Params._fields_ if hasattr(p, name)},
        header_words=HEADER.size // p.axi_data_width,
        slot_words=8 * SLOT_BYTES // p.axi_data_width,
        threshold_latency=Threshold.latency(p),
        neuron_latency=Neuron.latency(p),
        mantissa_width=_MANTISSA_WIDTH,
    )


def _program(
    params: HwParams,
    instructions: Sequence[tuple[Opcode, Mapping[str, int]]],
    batches: Sequence[Batch],
    kept: list[np.ndarray],
) -> ctypes.Array:
    """Return the program with what the batches mean for its time."""

    def pointer(values: np.ndarray, kind: type, dtype: str):
        kept.append(np.ascontiguousarray(values, dtype))
        return kept[-1].ctypes.data_as(ctypes.POINTER(kind))

    program = (c.Instruction * len(instructions))()
    following = iter(batches)
    trains: dict[int, tuple] = {}
    for instruction, (opcode, fields) in zip(program, instructions, strict=True):
        instruction.opcode = opcode.value
        for name, value in fields.items():
            if hasattr(instruction, name):
                setattr(instruction, name, value)
        if opcode is Opcode.ENCODE:
            batch = next(following)
            events = _events(params, batch.counts)
            words = -(-fields["channels"] // params.scan_width)
            first_events = np.searchsorted(events, np.arange(words + 1) * params.scan_width)
            widths = np.array([v.bit_length() for v in batch.thresholds])
            instruction.threshold_widths = pointer(widths, ctypes.c_uint8, "u1")
            instruction.event_channels = pointer(events, ctypes.c_uint32, "u4")
            instruction.first_events = pointer(first_events, ctypes.c_uint32, "u4")
            counts, trains = batch.counts[:, events], {}
        elif opcode is Opcode.MATMUL:
            coding = fields["coding"]
            if coding not in trains:
                steps, spikes = _train(params, counts, Coding(coding))
                trains[coding] = (
                    pointer(steps, ctypes.c_uint8, "u1"),
                    pointer(spikes, ctypes.c_uint32, "u4"),
                )
            instruction.steps, instruction.spikes = trains[coding]
            sizes = params.tiles(fields["outputs"])
            instruction.tiles = len(sizes)
            width = fields["weight_width"]
            instruction.full = _extent(params, params.tile_outputs, width)
            instruction.last = _extent(params, sizes[-1], width)
    return program


def _extent(params: HwParams, outputs: int, weight_width: int) -> c.Extent:
    return c.Extent(
        outputs, params.row_words(outputs, weight_width), params.row_beats(outputs, weight_width)
    )


def _events(params: HwParams, counts: np.ndarray) -> np.ndarray:
    """Return the channels that the event queue hands on."""
    if params.skip_silent:
        return np.flatnonzero(counts.any(axis=0))
    return np.arange(counts.shape[1])


def _train(params: HwParams, counts: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Return each event's steps, and its spikes in all of them, (events,)."""
    magnitudes = np.abs(counts).astype(np.uint16)
    if params.array == "mac":
        return np.ones(counts.shape[1]), (magnitudes != 0).sum(axis=0)
    if coding is Coding.UNARY:
        steps, spikes = magnitudes.max(axis=0), magnitudes.sum(axis=0)
    else:
        # n and 3n differ exactly where the non-adjacent form of n has a digit, one place higher.
        digits = magnitudes ^ 3 * magnitudes if coding is Coding.CSD else magnitudes
        steps = np.bitwise_count(np.bitwise_or.reduce(digits, axis=0))
        spikes = np.bitwise_count(digits).sum(axis=0)
    return np.maximum(steps, 1), spikes
