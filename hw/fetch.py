"""The weight fetcher: turns events into the row segments they need."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.memory_port import segment_layout, word_address_width
from hw.params import HwParams
from hw.tiling import tiling_layout

__all__ = ["Fetcher"]


class Fetcher(wiring.Component):
    """Ask for the row segment of each event.

    A tile's segments lie channel after channel from the tile's base, so the address of the channel
    count, which the end mark carries, is the next tile's base.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Channels of events, and end marks.
    start, base : In(1), In
        At the start of a MATMUL: word address of its first tile.
    tiling : In(struct)
        Its tiling, steady.
    o : Out(stream)
        Row segments, in order.

    Timing:      latency 2 cycles; one event a cycle.
    Arithmetic:  one address multiplication, channel by row length.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout({"channel": range(p.max_channels + 1), "end": 1})
                    )
                ),
                "start": In(1),
                "base": In(word_address_width(p)),
                "tiling": In(tiling_layout(p)),
                "o": Out(stream.Signature(segment_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        words_width = self.tiling.full.row_words.shape()
        tile = Signal(24)
        row_words = Signal(words_width)
        m.d.comb += row_words.eq(
            Mux(
                tile == self.tiling.tiles - 1,
                self.tiling.last.row_words,
                self.tiling.full.row_words,
            )
        )

        product = Signal(len(self.i.payload.channel) + len(row_words))
        product_words = Signal(words_width)
        product_end = Signal()
        product_valid = Signal()
        base = Signal(word_address_width(self._params))
        move = Signal()
        m.d.comb += [
            self.i.ready.eq(~product_valid | move),
            self.o.valid.eq(product_valid & ~product_end),
            self.o.payload.address.eq(base + product),
            self.o.payload.words.eq(product_words),
            move.eq(product_end | self.o.ready),
        ]
        with m.If(product_valid & move):
            m.d.sync += product_valid.eq(0)
            with m.If(product_end):
                m.d.sync += base.eq(base + product)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                product_valid.eq(1),
                product.eq(self.i.payload.channel * row_words),
                product_words.eq(row_words),
                product_end.eq(self.i.payload.end),
            ]
            with m.If(self.i.payload.end):
                m.d.sync += tile.eq(tile + 1)
        with m.If(self.start):
            m.d.sync += [base.eq(self.base), tile.eq(0)]
        return m
