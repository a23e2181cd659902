"""The event queue: finds the channels that fire, skipping silent runs many channels a cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.spike.buffer import batch_layout, counts_layout

__all__ = ["EventQueue", "event_layout", "walk_layout"]


def event_layout(params: HwParams) -> data.StructLayout:
    """Return one event, or the mark that ends a tile (its channel is the number of channels)."""
    return data.StructLayout(
        {
            "channel": range(params.max_channels + 1),
            "counts": counts_layout(params),
            "end": 1,  # of a tile
            "last": 1,  # with `end`: of the MATMUL too
        }
    )


def walk_layout() -> data.StructLayout:
    """Return what to do next: let a new batch into the spike buffer, or walk it for a MATMUL."""
    return data.StructLayout({"new_batch": 1, "tiles": 24})


class EventQueue(Component):
    """Walk the spike buffer's bitmap once for each output tile and emit its events.

    A walk follows the encoder: it waits where counts have not been written yet.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Walks, and new batches between them, in the program's order.
    i_batch : In(stream)
        A batch that the encoder is about to write; taken when every earlier walk has ended.
    channels, ready_words : In
        The spike buffer's extent, and how much of it is complete.
    scan_address, scan_enable, scan_fires, channel, channel_enable, counts
        The spike buffer's read ports.
    o : Out(stream)
        For each tile: every firing channel once, in order, no silent one (every channel where
        silent ones are not skipped); then the end mark.

    Timing:      latency 4 cycles from the start; `scan_width` silent channels or an event a cycle.
    Arithmetic:  none.
    Golden:      golden.numerics.costs
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        words = range(p.max_channels // p.scan_width + 1)
        super().__init__(
            {
                "i": In(stream.Signature(walk_layout())),
                "i_batch": In(stream.Signature(batch_layout(p))),
                "channels": In(range(p.max_channels + 1)),
                "ready_words": In(words),
                "scan_address": Out(range(p.max_channels // p.scan_width)),
                "scan_enable": Out(1),
                "scan_fires": In(p.scan_width),
                "channel": Out(range(p.max_channels)),
                "channel_enable": Out(1),
                "counts": In(counts_layout(p)),
                "o": Out(stream.Signature(event_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        width_log2 = exact_log2(p.scan_width)
        words = Signal(range(p.max_channels // p.scan_width + 1))
        m.d.comb += words.eq((self.channels + p.scan_width - 1) >> width_log2)

        # Stage 1: bitmap words, one ahead of the one that is being searched.
        tile = Signal(24)
        next_word = Signal(range(p.max_channels // p.scan_width + 1))
        word_valid = Signal()
        word_taken = Signal()
        walking = Signal()
        with m.If(word_taken):
            m.d.sync += word_valid.eq(0)
        m.d.comb += [
            walking.eq(self.i.valid & ~self.i.payload.new_batch),
            self.scan_address.eq(next_word),
            self.scan_enable.eq(
                walking & (next_word < self.ready_words) & (~word_valid | word_taken)
            ),
        ]
        with m.If(self.scan_enable):
            m.d.sync += [word_valid.eq(1), next_word.eq(next_word + 1)]

        # Stage 2: the lowest firing channel of a word.
        fires = Signal(p.scan_width)
        base = Signal(range(p.max_channels // p.scan_width + 1))
        searched = Signal(range(p.max_channels // p.scan_width + 1))
        lowest = Signal(range(p.scan_width))
        for index in reversed(range(p.scan_width)):
            with m.If(fires[index]):
                m.d.comb += lowest.eq(index)
        rest = fires & (fires - 1)
        event_valid = Signal()  # there are some
        event_taken = Signal()
        end_valid = Signal()
        m.d.comb += [
            end_valid.eq(walking & ~event_valid & ~word_valid & (searched == words)),
            word_taken.eq(word_valid & (~event_valid | ((rest == 0) & event_taken))),
        ]
        with m.If(event_taken):
            m.d.sync += [fires.eq(rest), event_valid.eq(rest != 0)]
        if p.skip_silent:
            found = self.scan_fires
        else:
            first = searched << width_log2
            found = Cat(first + index < self.channels for index in range(p.scan_width))
        with m.If(word_taken):
            m.d.sync += [
                fires.eq(found),
                event_valid.eq(found.any()),
                base.eq(searched),
                searched.eq(searched + 1),
            ]

        # Stage 3: its counts.
        free = ~self.o.valid | self.o.ready
        m.d.comb += [
            event_taken.eq(event_valid & free),
            self.channel.eq((base << width_log2) | lowest),
            self.channel_enable.eq(event_taken),
            self.o.payload.counts.eq(self.counts),
        ]
        last_tile = tile == self.i.payload.tiles - 1
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(event_valid | end_valid),
                self.o.payload.end.eq(~event_valid),
                self.o.payload.last.eq(~event_valid & last_tile),
                self.o.payload.channel.eq(Mux(event_valid, self.channel, self.channels)),
            ]
        with m.If(end_valid & free):
            m.d.sync += [tile.eq(tile + 1), next_word.eq(0), searched.eq(0)]
            with m.If(last_tile):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += tile.eq(0)
        # The mark that still waits must not see another batch's counts.
        with m.If(self.i.valid & self.i.payload.new_batch & ~self.o.valid):
            m.d.comb += [self.i_batch.ready.eq(1), self.i.ready.eq(self.i_batch.valid)]
        return m
