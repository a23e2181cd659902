"""How a MATMUL's outputs fall into tiles, and how long the tiles' row segments are."""

from amaranth import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.params import SCALE_WIDTHS, HwParams

__all__ = ["Tiling", "tile_layout", "tiling_layout"]


def tile_layout(params: HwParams) -> data.StructLayout:
    """Return the extent of one tile: its outputs, and the words and beats of its row segments."""
    words = params.row_words(params.tile_outputs, max(params.weight_widths))
    scales = {"scale_words": range(params.scale_depth + 1)} if params.grouped else {}
    return data.StructLayout(
        {
            "outputs": range(params.tile_outputs + 1),
            "row_words": range(words + 1),
            "row_beats": range(params.banks + 1),
            **scales,  # of a group
        }
    )


def tiling_layout(params: HwParams) -> data.StructLayout:
    """Return a MATMUL's tiles: how many, whether one, the extent of a full one and of the last."""
    tile = tile_layout(params)
    return data.StructLayout({"tiles": 24, "single": 1, "full": tile, "last": tile})


class Tiling(Component):
    """Derive the tiling, as `HwParams.tiles`, `row_words` and `row_beats` do in Python.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    outputs, weight_width, scale_width_log2, offsets : In
        Fields of the MATMUL instruction; of `offsets`, whether there are some.
    o : Out(struct)
        Its tiling.

    Timing:      latency 0 (combinational).
    Arithmetic:  additions and shifts.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = params
        super().__init__(
            {
                "outputs": In(24),
                "weight_width": In(4),
                "scale_width_log2": In(3),
                "offsets": In(1),
                "o": Out(tiling_layout(params)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        tile_log2 = exact_log2(p.tile_outputs)
        groups = Signal(range(p.banks + 1))  # of `lanes` outputs, in the last tile
        m.d.comb += [
            self.o.tiles.eq((self.outputs + p.tile_outputs - 1) >> tile_log2),
            self.o.single.eq(self.o.tiles == 1),
            self.o.full.outputs.eq(p.tile_outputs),
            self.o.last.outputs.eq((self.outputs - 1)[:tile_log2] + 1),
            groups.eq((self.o.last.outputs + p.lanes - 1) >> exact_log2(p.lanes)),
        ]
        with m.Switch(self.weight_width):
            for width in p.weight_widths:
                with m.Case(width):
                    m.d.comb += [
                        self.o.full.row_words.eq(p.row_words(p.tile_outputs, width)),
                        self.o.full.row_beats.eq(p.row_beats(p.tile_outputs, width)),
                    ]
                    if p.lanes * width >= p.axi_data_width:
                        words = groups << exact_log2(p.lanes * width // p.axi_data_width)
                        m.d.comb += [
                            self.o.last.row_words.eq(words),
                            self.o.last.row_beats.eq(groups),
                        ]
                    else:
                        beats_log2 = exact_log2(p.axi_data_width // (p.lanes * width))
                        words = (groups + (1 << beats_log2) - 1) >> beats_log2
                        m.d.comb += [
                            self.o.last.row_words.eq(words),
                            self.o.last.row_beats.eq(words << beats_log2),
                        ]
        if p.grouped:
            narrowest, widest = (
                exact_log2(bits) for bits in (SCALE_WIDTHS[0], 2 * SCALE_WIDTHS[-1])
            )
            for bits_log2 in range(narrowest, widest + 1):
                with m.If(self.scale_width_log2 + self.offsets == bits_log2):
                    of_word = p.axi_data_width >> bits_log2  # outputs
                    last = (self.o.last.outputs + of_word - 1) >> exact_log2(of_word)
                    m.d.comb += [
                        self.o.full.scale_words.eq(p.scale_words(p.tile_outputs, 1 << bits_log2)),
                        self.o.last.scale_words.eq(last),
                    ]
        return m
