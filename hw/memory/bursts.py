"""Turns runs of memory words into AXI4 bursts: merges neighbours, cuts at 4 KiB."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.memory.cut import cut
from hw.memory.port import burst_layout, segment_layout, word_address_width

__all__ = ["Bursts"]


class Bursts(Component):
    """Cut and merge segments into bursts.

    A segment that begins where the one before it ended joins its burst, as long as that burst has
    neither been handed over nor become as long as allowed. A burst is complete when it is as long
    as allowed, when the next segment does not join it, or, in a hurry, when none waits. A complete
    burst is handed over when the one before it has been taken: a cycle later, since whether that is
    taken depends on all clients of the memory port.

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

    Timing:      latency 2 cycles; a segment a cycle, a burst every other cycle.
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
        max_words = self._max_words
        run_address = Signal(word_address_width(self._params))
        run_end = Signal.like(run_address)
        run_words = Signal(self.i.payload.words.shape().width + 1)
        longest = Signal(range(max_words + 1))  # that a burst from there may be
        _, next_address = cut(m, self._params, run_address, max_words)
        longest_of_next, _ = cut(m, self._params, next_address, max_words)
        longest_of_input, _ = cut(m, self._params, self.i.payload.address, max_words)

        # Each sum is of registers and the input only, and what is handed over chooses among them.
        low, beyond = run_words[: len(longest)], run_words[len(longest) :].any()
        full = Signal()  # at least as long
        last = Signal()  # at most
        joins = Signal()
        complete = Signal()
        hand_over = Signal()
        empty = Signal()
        accept = Signal()
        m.d.comb += [
            full.eq(beyond | (low >= longest)),
            last.eq(~beyond & (low <= longest)),
            joins.eq(self.i.payload.address == run_end),
            complete.eq(full | Mux(self.i.valid, ~joins, self.hurry)),
            hand_over.eq((run_words != 0) & complete & ~self.o.valid),
            empty.eq((run_words == 0) | (hand_over & last)),
            accept.eq(empty | (joins & ~full)),
            self.i.ready.eq(accept),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(hand_over):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.address.eq(run_address),
                self.o.payload.words.eq(Mux(last, low, longest)),
                run_address.eq(next_address),
                longest.eq(longest_of_next),
                run_words.eq(Mux(last, 0, run_words - longest)),
            ]
        with m.If(self.i.valid & accept):
            m.d.sync += run_end.eq(self.i.payload.address + self.i.payload.words)
            with m.If(empty):
                m.d.sync += [
                    run_address.eq(self.i.payload.address),
                    longest.eq(longest_of_input),
                    run_words.eq(self.i.payload.words),
                ]
            with m.Else():
                m.d.sync += run_words.eq(run_words + self.i.payload.words)
        return m
