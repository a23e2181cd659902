"""Reads a run of memory ahead of who needs its words."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.memory.port import segment_layout, word_address_width

__all__ = ["Ahead"]


class Ahead(Component):
    """Ask for segment after segment, as long as there is room for their words.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    room : int
        Most words that are under way: asked for and not taken.

    Members
    -------
    start : In(1)
        Read on from here: at this address, so many segments of so many words. No earlier segment is
        still to be asked for.
    address, words, segments : In
        Word address, words of a segment (at most `room`), and how many.
    stop : In(1)
        Ask for no more, and throw away what comes; a segment that is on offer stays.
    quiet : Out(1)
        It was stopped, and nothing is under way.
    o_request, i_words : Out(stream), In(stream)
        Segments, and their words.
    o_words : Out(stream)
        The words, without those thrown away.

    Timing:      latency 1 cycle from start to the first segment, 0 for words; one segment and one
                 word a cycle; quiet 1 cycle after stop at the earliest.
    Arithmetic:  addresses only.
    Golden:      none.
    """

    def __init__(self, params: HwParams, room: int) -> None:
        self._params, self._room = params, room
        super().__init__(
            {
                "start": In(1),
                "address": In(word_address_width(params)),
                "words": In(range(room + 1)),
                "segments": In(32),
                "stop": In(1),
                "quiet": Out(1),
                "o_request": Out(stream.Signature(segment_layout(params))),
                "i_words": In(stream.Signature(params.axi_data_width)),
                "o_words": Out(stream.Signature(params.axi_data_width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        request = self.o_request
        reading = Signal()
        address = Signal.like(self.address)
        words = Signal.like(self.words)
        wanted = Signal.like(self.segments)
        under_way = Signal(range(self._room + 1))
        requested = request.valid & request.ready
        taken = self.i_words.valid & self.i_words.ready
        m.d.comb += [
            request.payload.address.eq(address),
            request.payload.words.eq(words),
            request.valid.eq(reading & (wanted != 0) & (under_way + words <= self._room)),
            self.o_words.payload.eq(self.i_words.payload),
            self.o_words.valid.eq(self.i_words.valid & ~self.stop),
            self.i_words.ready.eq(self.o_words.ready | self.stop),
            self.quiet.eq(~reading & (under_way == 0)),
        ]
        m.d.sync += under_way.eq(under_way + Mux(requested, words, 0) - taken)
        with m.If(requested):
            m.d.sync += [address.eq(address + words), wanted.eq(wanted - 1)]
        with m.If(self.stop):
            m.d.sync += reading.eq(request.valid & ~request.ready)
        with m.If(self.start):
            m.d.sync += [
                reading.eq(1),
                address.eq(self.address),
                words.eq(self.words),
                wanted.eq(self.segments),
            ]
        return m
