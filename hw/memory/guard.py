"""Stands between the accelerator and its memory, and can end what runs between any two cycles."""

from amaranth import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.contract.regs import Error
from hw.memory.port import (
    EPOCH_WIDTH,
    MOST_WRITES,
    answer_layout,
    burst_layout,
    queue_depths,
    read_address_layout,
    read_data_layout,
    response_layout,
    write_data_layout,
)

__all__ = ["Guard"]


class Guard(Component):
    """Pass the memory's five channels; on demand, close them as AXI wants it, and reset the rest.

    A write's address waits here until memory takes it, so that its words need not: a memory may
    want to see them first, while closing too.

    At an end what is on offer stays until memory takes it, nothing new is offered. Once no read
    address and no word is on offer any more, all but the registers is reset; words that are owed to
    a write burst follow with no byte enabled; responses are awaited and dropped. Responses that do
    not come can be given up: requests carry an epoch, which is another one afterwards, and what
    comes with an old one is dropped.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_read, i_write, i_write_data, o_read_data, o_response : In(stream), Out(stream)
        The accelerator's side of the channels.
    o_read, o_write, o_write_data, i_read_data, i_response : Out(stream), In(stream)
        The memory's side.
    epoch : Out
        Of new requests.
    running : In(1)
        A program runs, and does not end in this cycle.
    abort : In(1)
        End it; while it is ending, give up the responses.
    expired : In(1)
        The same, by the watchdog.
    reset : Out(1)
        Reset all that stands on the accelerator's side.
    closed : Out(1)
        It is ending.
    ended, error : Out(1), Out
        A program has been ended in this cycle, and why.

    Timing:      open, it adds a cycle to AW and none to the others; closing takes 4 cycles, and
                 what memory takes.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_read": In(stream.Signature(read_address_layout(p))),
                "i_write": In(stream.Signature(burst_layout(p))),
                "i_write_data": In(stream.Signature(write_data_layout(p))),
                "o_read_data": Out(stream.Signature(read_data_layout(p))),
                "o_response": Out(stream.Signature(1, always_ready=True)),
                "o_read": Out(stream.Signature(read_address_layout(p))),
                "o_write": Out(stream.Signature(burst_layout(p))),
                "o_write_data": Out(stream.Signature(write_data_layout(p))),
                "i_read_data": In(stream.Signature(answer_layout(p))),
                "i_response": In(stream.Signature(response_layout(), always_ready=True)),
                "epoch": Out(EPOCH_WIDTH),
                "running": In(1),
                "abort": In(1),
                "expired": In(1),
                "reset": Out(1),
                "closed": Out(1),
                "ended": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        # What is on offer, and not to be offered any more.
        shut_read = Signal()
        shut_data = Signal()
        supply = Signal()  # an owed word
        supply_last = Signal()
        for taker, giver, shut in (
            (self.o_read, self.i_read, shut_read),
            (self.o_write_data, self.i_write_data, shut_data),
        ):
            m.d.comb += [
                taker.payload.eq(giver.payload),
                taker.valid.eq(giver.valid & ~shut),
                giver.ready.eq(taker.ready & ~shut),
            ]
        # A write's address: all its words are owed from now on.
        full = Signal()  # as many write bursts as may be under way
        held_back = full | self.closed
        free = ~self.o_write.valid | self.o_write.ready
        m.d.comb += self.i_write.ready.eq(free & ~held_back)
        with m.If(free):
            m.d.sync += [
                self.o_write.valid.eq(self.i_write.valid & ~held_back),
                self.o_write.payload.eq(self.i_write.payload),
            ]

        word = self.o_write_data
        with m.If(supply):  # after the reset, all else of the channel is zero
            m.d.comb += [word.valid.eq(1), word.payload.last.eq(supply_last)]

        data, response = self.i_read_data, self.i_response
        stale = self.closed | (data.payload.epoch != self.epoch)
        m.d.comb += [
            self.o_read_data.payload.data.eq(data.payload.data),
            self.o_read_data.payload.client.eq(data.payload.client),
            self.o_read_data.payload.failed.eq(data.payload.failed),
            self.o_read_data.valid.eq(data.valid & ~stale),
            data.ready.eq(self.o_read_data.ready | stale),
        ]
        answers = response.valid & (response.payload.epoch == self.epoch)
        m.d.comb += [
            self.o_response.payload.eq(response.payload.failed),
            self.o_response.valid.eq(answers & ~self.closed),
        ]

        # Bursts without their answer, and words of a write burst that are still owed.
        reads = Signal(range(sum(queue_depths(p).values()) + 1))
        writes = Signal(range(MOST_WRITES + 1))
        writes_next = Signal.like(writes)
        owed = Signal(range(p.max_burst_words + 1))
        asked = Signal()  # a cycle late; who looks at `reads` can wait
        answered = Signal()
        sent = word.valid & word.ready
        addressed = self.i_write.valid & self.i_write.ready
        m.d.comb += writes_next.eq(writes + addressed - answers)
        m.d.sync += [
            asked.eq(self.o_read.valid & self.o_read.ready),
            answered.eq(
                data.valid & data.ready & data.payload.last & (data.payload.epoch == self.epoch)
            ),
            reads.eq(reads + asked - answered),
            writes.eq(writes_next),
            full.eq(writes_next == MOST_WRITES),
            owed.eq(owed - sent),
        ]
        with m.If(addressed):  # the words of the burst before have all been sent
            m.d.sync += owed.eq(self.i_write.payload.words)

        stop = self.abort | self.expired
        give_up = Signal()
        was_running = Signal()
        lost = (reads != 0) | (writes != 0)

        def close():
            for channel, shut in (
                (self.o_read, shut_read),
                (self.o_write_data, shut_data),
            ):
                with m.If(~(channel.valid & ~channel.ready)):
                    m.d.sync += shut.eq(1)

        with m.If(stop & self.closed):
            m.d.sync += give_up.eq(1)

        with m.FSM(name="phase"):
            with m.State("OPEN"):
                with m.If(stop):
                    close()
                    m.d.sync += [
                        self.closed.eq(1),
                        was_running.eq(self.running),
                        give_up.eq(self.expired),
                    ]
                    m.d.sync += self.error.eq(Error.ABORTED)
                    with m.If(~self.abort):
                        m.d.sync += self.error.eq(Error.WATCHDOG)
                    m.next = "OFFERED"
            with m.State("OFFERED"):
                close()
                with m.If(shut_read & shut_data):
                    m.d.sync += self.reset.eq(1)
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += [supply.eq(owed != 0), supply_last.eq(owed == 1)]
                m.next = "OWED"
            with m.State("OWED"):
                with m.If(sent):
                    m.d.sync += [supply.eq(owed != 1), supply_last.eq(owed == 2)]
                with m.If((owed == 0) & ~self.o_write.valid & (~lost | give_up)):
                    m.d.sync += self.epoch.eq(self.epoch + lost)
                    m.next = "ENDED"
            with m.State("ENDED"):
                m.d.comb += self.ended.eq(was_running)
                m.d.sync += [
                    signal.eq(0)
                    for signal in (
                        reads,
                        writes,
                        full,
                        shut_read,
                        shut_data,
                        give_up,
                        self.reset,
                        self.closed,
                    )
                ]
                m.next = "OPEN"
        return m
