"""The weight fetcher: turns events into the row segments they need."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import GROUPS, HwParams
from hw.matmul.tiling import tiling_layout
from hw.memory.port import segment_layout, word_address_width
from hw.spike.marks import GROUP, group_of, low_channels

__all__ = ["Fetcher", "fetch_layout", "fetched_layout", "row_words_layout"]


def fetch_layout(params: HwParams) -> data.StructLayout:
    """Return what the fetcher needs of a MATMUL; `base` is the first tile's word address."""
    return data.StructLayout(
        {
            "base": word_address_width(params),
            "tiling": tiling_layout(params),
            "weight_width": 4,
            "strided": 1,  # rows lie as far apart in the last tile as in a full one
            "group": GROUP,
        }
    )


def fetched_layout(params: HwParams) -> data.StructLayout:
    """Return what the fetcher needs of an event or mark."""
    channel = range(params.max_channels + 1)
    return data.StructLayout({"channel": channel, "end": 1, "last": 1, "group_end": 1})


def row_words_layout(params: HwParams) -> data.StructLayout:
    """Return the extent of a row segment: its words, and the bits of a weight in them.

    Where it `scales`, it holds the scales of a group instead.
    """
    words = params.row_words(params.tile_outputs, max(params.weight_widths))
    words = max(words, params.scale_depth)
    return data.StructLayout({"words": range(words + 1), "weight_width": 4, "scales": 1})


class Fetcher(Component):
    """Ask for the row segment of each event, and for the scales of each group that had events.

    A tile's segments lie channel after channel from the tile's base; where weights are in groups,
    the scales of a group follow the last of its rows. So the address behind all of them, which the
    end mark stands for, is the next tile's base.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_matmul : In(stream)
        MATMULs in the order of their events; taken with a MATMUL's last end mark.
    i : In(stream)
        Channels of events, and marks.
    o : Out(stream)
        Row segments, in order.
    o_rows : Out(stream)
        The extent of each of them, for who takes their words.

    Timing:      latency 2 cycles, 3 where the hardware has groups; one event or mark a cycle, and a
                 cycle before the first of each tile in groups.
    Arithmetic:  address multiplications: channel by row length, group by group length.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_matmul": In(stream.Signature(fetch_layout(p))),
                "i": In(stream.Signature(fetched_layout(p))),
                "o": Out(stream.Signature(segment_layout(p))),
                "o_rows": Out(stream.Signature(row_words_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        matmul, event = self.i_matmul.payload, self.i.payload
        tile = Signal(24, init=1)  # the first one is 1
        first_tile = Signal(init=1)
        ends = Signal()  # the tile is the last one, where it is not the first
        row = Signal(row_words_layout(p))
        last_tile = Signal()
        pitch = Signal.like(row.words)
        full, last = matmul.tiling.full, matmul.tiling.last
        m.d.comb += [
            last_tile.eq(Mux(first_tile, matmul.tiling.single, ends)),
            row.words.eq(Mux(last_tile, last.row_words, full.row_words)),
            row.weight_width.eq(matmul.weight_width),
            pitch.eq(Mux(last_tile & ~matmul.strided, last.row_words, full.row_words)),
        ]

        # Stage 1: the channel's distance from the tile's base, or from that of its group.
        within = Signal.like(event.channel)
        width = len(within) + len(pitch)
        layout = data.StructLayout(
            {
                "distance": width + 1,
                "row": row.shape(),
                "end": 1,  # of the tile
                "based": 1,  # its MATMUL's first: the base is the MATMUL's
                "base_of_matmul": matmul.base.shape(),
            }
        )
        valid = Signal()
        placed = Signal(layout)
        move = Signal()
        first = Signal(init=1)  # the next event or mark is its MATMUL's first
        accepts = Signal()
        taken = self.i.valid & self.i.ready
        ready = self.i_matmul.valid & accepts
        m.d.comb += within.eq(event.channel)
        if p.grouped:
            settled = self._find_groups(m, row, within, pitch, last_tile, taken)
            ready &= settled | (matmul.group == 0)
        m.d.comb += self.i.ready.eq(ready)
        with m.If(taken):
            m.d.sync += first.eq(0)
            with m.If(event.end):
                m.d.sync += [
                    tile.eq(tile + 1),
                    first_tile.eq(0),
                    ends.eq(tile + 1 == matmul.tiling.tiles),
                ]
                with m.If(event.last):
                    m.d.comb += self.i_matmul.ready.eq(1)
                    m.d.sync += [tile.eq(1), first_tile.eq(1), first.eq(1)]
        found = Signal(layout)
        m.d.comb += [
            found.row.eq(row),
            found.end.eq(event.end),
            found.based.eq(first),
            found.base_of_matmul.eq(matmul.base),
        ]
        if p.grouped:
            # The two distances take a cycle to add up.
            held_valid = Signal()
            held = Signal(layout)
            product, of_group = Signal(width), Signal(width + 1)
            m.d.comb += accepts.eq(~held_valid | ~valid | move)
            with m.If(~valid | move):
                m.d.sync += [
                    valid.eq(held_valid),
                    placed.eq(held),
                    placed.distance.eq(product + of_group),
                    held_valid.eq(0),
                ]
            with m.If(taken):
                m.d.sync += [
                    held_valid.eq(1),
                    held.eq(found),
                    product.eq(within * pitch),
                    of_group.eq(self._group * self._group_pitch),
                ]
        else:
            m.d.comb += accepts.eq(~valid | move)
            with m.If(move):
                m.d.sync += valid.eq(0)
            with m.If(taken):
                m.d.sync += [valid.eq(1), placed.eq(found), placed.distance.eq(within * pitch)]

        # Stage 2: its address. The segment and its extent leave together.
        base = Signal.like(matmul.base)
        current_base = Signal.like(base)
        address = Signal.like(base)
        offered = Signal()
        both = self.o.ready & self.o_rows.ready
        m.d.comb += [
            current_base.eq(Mux(placed.based, placed.base_of_matmul, base)),
            address.eq(current_base + placed.distance),
            move.eq(placed.end | ~offered | both),
            self.o.valid.eq(offered & self.o_rows.ready),
            self.o_rows.valid.eq(offered & self.o.ready),
        ]
        with m.If(both):
            m.d.sync += offered.eq(0)
        with m.If(valid & move):
            m.d.sync += base.eq(Mux(placed.end, address, current_base))
            with m.If(~placed.end):
                m.d.sync += [
                    offered.eq(1),
                    self.o.payload.address.eq(address),
                    self.o.payload.words.eq(placed.row.words),
                    self.o_rows.payload.eq(placed.row),
                ]
        return m

    def _find_groups(self, m, row, within, pitch, last_tile, taken) -> Signal:
        """Say how far a group and a place in it are; returns whether a group's length is known.

        The length in words takes a cycle to find, once a tile.
        """
        p = self._params
        matmul, event = self.i_matmul.payload, self.i.payload
        full, last = matmul.tiling.full.scale_words, matmul.tiling.last.scale_words
        low = low_channels(matmul.group)
        self._group = group = Signal(range(p.max_channels // GROUPS[0] + 1))
        self._group_pitch = group_pitch = Signal(len(pitch) + GROUPS[-1].bit_length())
        settled = Signal()
        m.d.sync += [
            settled.eq(self.i_matmul.valid & ~(taken & event.end)),
            group_pitch.eq(
                ((pitch << (matmul.group - 1)[:2]) << (GROUPS[0].bit_length() - 1))
                + Mux(last_tile & ~matmul.strided, last, full)
            ),
        ]
        with m.If(event.group_end):
            m.d.comb += [row.scales.eq(1), row.words.eq(Mux(last_tile, last, full))]
        with m.If(matmul.group != 0):
            # Of a mark, behind the rows of its group; of the end, behind the last group.
            m.d.comb += group.eq(group_of(event.channel + Mux(event.end, low, 0), matmul.group))
            with m.If(event.group_end):
                m.d.comb += within.eq(low + 1)
            with m.Else():
                m.d.comb += within.eq(Mux(event.end, 0, event.channel & low))
        return settled
