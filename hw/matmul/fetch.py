"""The weight fetcher: turns events into the row segments they need."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.matmul.tiling import tiling_layout
from hw.memory.port import segment_layout, word_address_width

__all__ = ["Fetcher", "fetch_layout", "row_words_layout"]


def fetch_layout(params: HwParams) -> data.StructLayout:
    """Return what the fetcher needs of a MATMUL; `base` is the first tile's word address."""
    return data.StructLayout(
        {
            "base": word_address_width(params),
            "tiling": tiling_layout(params),
            "weight_width": 4,
            "strided": 1,  # rows lie as far apart in the last tile as in a full one
        }
    )


def row_words_layout(params: HwParams) -> data.StructLayout:
    """Return the extent of a row segment: its words, and the bits of a weight in them."""
    words = params.row_words(params.tile_outputs, max(params.weight_widths))
    return data.StructLayout({"words": range(words + 1), "weight_width": 4})


class Fetcher(Component):
    """Ask for the row segment of each event.

    A tile's segments lie channel after channel from the tile's base, so the address of the channel
    count, which the end mark carries, is the next tile's base.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_matmul : In(stream)
        MATMULs in the order of their events; taken with a MATMUL's last end mark.
    i : In(stream)
        Channels of events, and end marks.
    o : Out(stream)
        Row segments, in order.
    o_rows : Out(stream)
        The extent of each of them, for who takes their words.

    Timing:      latency 2 cycles; one event or end mark a cycle.
    Arithmetic:  one address multiplication, channel by row length.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_matmul": In(stream.Signature(fetch_layout(p))),
                "i": In(
                    stream.Signature(
                        data.StructLayout(
                            {"channel": range(p.max_channels + 1), "end": 1, "last": 1}
                        )
                    )
                ),
                "o": Out(stream.Signature(segment_layout(p))),
                "o_rows": Out(stream.Signature(row_words_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        matmul = self.i_matmul.payload
        tile = Signal(24, init=1)  # the first one is 1
        first_tile = Signal(init=1)
        ends = Signal()  # the tile is the last one, where it is not the first
        row = Signal(row_words_layout(self._params))
        last_tile = Signal()
        pitch = Signal.like(row.words)
        full_words, last_words = matmul.tiling.full.row_words, matmul.tiling.last.row_words
        m.d.comb += [
            last_tile.eq(Mux(first_tile, matmul.tiling.single, ends)),
            row.words.eq(Mux(last_tile, last_words, full_words)),
            row.weight_width.eq(matmul.weight_width),
            pitch.eq(Mux(last_tile & ~matmul.strided, last_words, full_words)),
        ]

        # Stage 1: the channel's distance from the tile's base.
        valid = Signal()
        distance = Signal(len(self.i.payload.channel) + len(row.words))
        fetched = Signal.like(row)
        end = Signal()
        first = Signal(init=1)  # the next event or mark is its MATMUL's first
        based = Signal()  # this one is: the base is the MATMUL's
        base_of_matmul = Signal.like(matmul.base)
        move = Signal()
        m.d.comb += self.i.ready.eq(self.i_matmul.valid & (~valid | move))
        with m.If(move):
            m.d.sync += valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                valid.eq(1),
                distance.eq(self.i.payload.channel * pitch),
                fetched.eq(row),
                end.eq(self.i.payload.end),
                first.eq(0),
                based.eq(first),
                base_of_matmul.eq(matmul.base),
            ]
            with m.If(self.i.payload.end):
                m.d.sync += [
                    tile.eq(tile + 1),
                    first_tile.eq(0),
                    ends.eq(tile + 1 == matmul.tiling.tiles),
                ]
                with m.If(self.i.payload.last):
                    m.d.comb += self.i_matmul.ready.eq(1)
                    m.d.sync += [tile.eq(1), first_tile.eq(1), first.eq(1)]

        # Stage 2: its address. The segment and its extent leave together.
        base = Signal.like(matmul.base)
        current_base = Signal.like(base)
        address = Signal.like(base)
        offered = Signal()
        both = self.o.ready & self.o_rows.ready
        m.d.comb += [
            current_base.eq(Mux(based, base_of_matmul, base)),
            address.eq(current_base + distance),
            move.eq(end | ~offered | both),
            self.o.valid.eq(offered & self.o_rows.ready),
            self.o_rows.valid.eq(offered & self.o.ready),
        ]
        with m.If(both):
            m.d.sync += offered.eq(0)
        with m.If(valid & move):
            m.d.sync += base.eq(Mux(end, address, current_base))
            with m.If(~end):
                m.d.sync += [
                    offered.eq(1),
                    self.o.payload.address.eq(address),
                    self.o.payload.words.eq(fetched.words),
                    self.o_rows.payload.eq(fetched),
                ]
        return m
