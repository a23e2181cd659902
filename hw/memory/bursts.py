"""Turns runs of memory words into AXI4 bursts: merges neighbours, cuts at 4 KiB."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.common.component import Component
from hw.common.stream import Buffer
from hw.contract.params import HwParams
from hw.memory.cut import cut
from hw.memory.port import burst_layout, segment_layout, word_address_width

__all__ = ["Bursts"]


class Bursts(Component):
    """Cut and merge segments into bursts.

    A segment that begins where the one before it ended joins its burst, as long as that burst has
    neither been handed over nor become as long as allowed. A burst is complete when it is as long
    as allowed, when the next segment does not join it, or, in a hurry, when none waits and the
    burst before it has been taken. Two complete bursts wait, so that none depends on whether one is
    taken in the same cycle, which depends on all clients of the memory port.

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
        max_words = self._max_words
        m.submodules.leaving = leaving = Buffer(burst_layout(self._params))
        connect(m, leaving.o, flipped(self.o))
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
            complete.eq(full | Mux(self.i.valid, ~joins, self.hurry & ~self.o.valid)),
            hand_over.eq((run_words != 0) & complete & leaving.i.ready),
            empty.eq((run_words == 0) | (hand_over & last)),
            accept.eq(empty | (joins & ~full)),
            self.i.ready.eq(accept),
        ]
        m.d.comb += [
            leaving.i.valid.eq(hand_over),
            leaving.i.payload.address.eq(run_address),
            leaving.i.payload.words.eq(Mux(last, low, longest)),
        ]
        with m.If(hand_over):
            m.d.sync += [
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
