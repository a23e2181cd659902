"""Turns runs of memory words into AXI4 bursts: merges neighbours, cuts at 4 KiB."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.memory.port import burst_layout, segment_layout, word_address_width

__all__ = ["Bursts"]


class Bursts(Component):
    """Cut and merge segments into bursts.

    A segment that begins where the one before it ended joins its burst, as long as that burst has
    not been handed over. A burst is handed over when it is as long as allowed, when the next
    segment does not join it, or, in a hurry, when none waits.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    max_words : int
        Longest burst.

    Members
    -------
    i : In(stream)
        Segments, at least one word each.
    hurry : In(1)
        Hand a burst over even where a later segment may still join it.
    o : Out(stream)
        Bursts, in order, covering the same words.

    Timing:      latency 2 cycles; one segment or burst a cycle.
    Arithmetic:  addresses only.
    Golden:      none.
    """

    def __init__(self, params: HwParams, max_words: int) -> None:
        self._params, self._max_words = params, max_words
        super().__init__(
            {
                "i": In(stream.Signature(segment_layout(params))),
                "hurry": In(1),
                "o": Out(stream.Signature(burst_layout(params))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        page_words = 4096 // self._params.axi_bytes
        run_address = Signal(word_address_width(self._params))
        run_end = Signal.like(run_address)
        run_words = Signal(self.i.payload.words.shape().width + 1)

        to_page_end = Signal(range(page_words + 1))
        longest = Signal(range(self._max_words + 1))
        words = Signal(range(self._max_words + 1))
        m.d.comb += [
            to_page_end.eq(page_words - run_address[: page_words.bit_length() - 1]),
            longest.eq(Mux(to_page_end < self._max_words, to_page_end, self._max_words)),
            words.eq(Mux(run_words < longest, run_words, longest)),
        ]

        joins = Signal()
        complete = Signal()
        hand_over = Signal()
        rest_words = Signal.like(run_words)
        accept = Signal()
        m.d.comb += [
            joins.eq(self.i.payload.address == run_end),
            complete.eq((run_words >= longest) | Mux(self.i.valid, ~joins, self.hurry)),
            hand_over.eq((run_words != 0) & complete & (~self.o.valid | self.o.ready)),
            rest_words.eq(run_words - Mux(hand_over, words, 0)),
            accept.eq((rest_words == 0) | (joins & (run_words <= self._max_words))),
            self.i.ready.eq(accept),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(hand_over):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.address.eq(run_address),
                self.o.payload.words.eq(words),
                run_address.eq(run_address + words),
            ]
        m.d.sync += run_words.eq(rest_words)
        with m.If(self.i.valid & accept):
            m.d.sync += [
                run_words.eq(rest_words + self.i.payload.words),
                run_end.eq(self.i.payload.address + self.i.payload.words),
            ]
            with m.If(rest_words == 0):
                m.d.sync += run_address.eq(self.i.payload.address)
        return m
