"""What groups of weights cost in cells: scaled behind the array, or decoded on their way in.

``python -m bench.scaling`` prints it (docs/adr/0011-groups-are-scaled-behind-the-array.md).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from amaranth import Module, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from bench.area import synthesize_block
from hw.common.stream import Queue
from hw.contract.params import SCALE_WIDTHS, SUM_WIDTH, HwParams
from hw.contract.presets import preset
from hw.matmul.array import PEArray
from hw.matmul.beats import beat_layout
from hw.matmul.scaler import Scaler
from hw.spike.marks import GroupMarks

__all__ = ["Decoder", "measure", "queue_block_rams"]

_CODE, _SCALE = 4, SCALE_WIDTHS[-1]
_DECODED = 23
"""Bits that weights of a grid need at least: d * (code + z), where d has 16 and z 5."""


class _Wide(HwParams):
    """An accelerator whose array takes weights that are decoded."""

    @property
    def acc_width(self) -> int:
        """Bits of an accumulator: as many as of a sum over groups."""
        return SUM_WIDTH


class Decoder(wiring.Component):
    """Multiply each code of a beat by its group's scale, and add the offset.

    Scales of the next group are written while those of this one are used.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i, half, bank : In
        A beat of codes, and which scales are its own.
    write_half, write_bank, scales, enable : In
        A bank's scales, and where they go.
    o : Out
        The beat's weights.

    Timing:      latency 3 cycles; a beat a cycle.
    Arithmetic:  exact.
    Golden:      golden.numerics.groups
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        pair = data.StructLayout({"d": signed(_SCALE), "m": signed(_SCALE)})
        super().__init__(
            {
                "i": In(data.ArrayLayout(signed(_CODE), p.lanes)),
                "half": In(1),
                "bank": In(range(max(p.banks, 2))),
                "write_half": In(1),
                "write_bank": In(range(max(p.banks, 2))),
                "scales": In(data.ArrayLayout(pair, p.lanes)),
                "enable": In(1),
                "o": Out(data.ArrayLayout(signed(_DECODED), p.lanes)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        m.submodules.scales = scales = memory.Memory(
            shape=self.scales.shape(), depth=2 * p.banks, init=[]
        )
        write, read = scales.write_port(), scales.read_port()
        m.d.comb += [
            write.addr.eq(self.write_bank + self.write_half * p.banks),
            write.data.eq(self.scales),
            write.en.eq(self.enable),
            read.addr.eq(self.bank + self.half * p.banks),
            read.en.eq(1),
        ]
        for lane in range(p.lanes):
            code = Signal(signed(_CODE), name=f"code{lane}")
            product = Signal(signed(_CODE + _SCALE), name=f"product{lane}")
            offset = Signal(signed(_SCALE), name=f"offset{lane}")
            m.d.sync += [
                code.eq(self.i[lane]),
                product.eq(code * read.data[lane].d),
                offset.eq(read.data[lane].m),
                self.o[lane].eq(product + offset),
            ]
        return m


def _wide(params: HwParams) -> HwParams:
    wide = _Wide(**{**params.as_dict(), "weight_widths": (8,)})
    object.__setattr__(wide, "weight_widths", (_DECODED,))
    return wide


def _blocks(params: HwParams) -> dict[str, list[Callable[[], wiring.Component]]]:
    return {
        "no groups": [lambda: PEArray(params)],
        "behind the array": [
            lambda: PEArray(params), lambda: Scaler(params), lambda: GroupMarks(params)
        ],
        "on the way in": [lambda: Decoder(params), lambda: PEArray(_wide(params))],
    }  # fmt: skip


def measure(lanes: int = 16, tokens: int = 1) -> list[dict[str, object]]:
    """Return the cells of each way on an ECP5, for an array of `edge` with so many lanes."""
    params = replace(preset("edge"), lanes=lanes, tokens=tokens, weight_widths=(4, 2))
    rows = []
    for way, blocks in _blocks(params).items():
        row: dict[str, object] = {"way": way, "lanes": lanes, "tokens": tokens}
        cells: Counter[str] = Counter()
        for block in blocks:
            cells.update(synthesize_block(block(), "ecp5"))
        rows.append(row | cells)
    return rows


def queue_block_rams(depths: Iterable[int] = (64, 512)) -> dict[int, int]:
    """Return the block RAMs of `edge`'s queue of beats, were it so deep."""
    layout = beat_layout(preset("edge"))
    return {d: synthesize_block(Queue(layout, d), "ecp5")["block_rams"] for d in depths}


if __name__ == "__main__":
    print("block RAMs of the queue of beats, by its depth:", queue_block_rams())
    for tokens_ in (1, preset("edge").tokens):
        for row_ in measure(tokens=tokens_):
            print(*(f"{name}: {value}" for name, value in row_.items()), sep=", ", flush=True)
