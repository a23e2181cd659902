"""Stream payloads that wait: a queue of them, two, or one."""

from amaranth import Module, Mux, Shape, Signal
from amaranth.lib import fifo, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component

__all__ = ["Buffer", "Queue", "Register"]


class Queue(Component):
    """First-in first-out buffer of stream payloads.

    Parameters
    ----------
    shape : ShapeLike
        Payload.
    depth : int
        Payloads it holds.

    Members
    -------
    i : In(stream)
        What enters.
    o : Out(stream)
        What leaves, in the same order.

    Timing:      latency 2 cycles (1 where depth is 1); one payload a cycle (every second one where
                 depth is 1 or 2). Fewer than 3 payloads leave zero-width nets in the Verilog.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, shape, depth: int) -> None:
        self._shape, self._depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(
            width=Shape.cast(self._shape).width, depth=self._depth
        )
        raw_i, raw_o = Signal(queue.width), Signal(queue.width)
        m.d.comb += [
            raw_i.eq(self.i.payload),
            queue.w_data.eq(raw_i),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            raw_o.eq(queue.r_data),
            _bits(self.o.payload).eq(raw_o),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
        ]
        return m


class Buffer(Component):
    """Two payloads that wait: neither side sees the other's ready, at a payload a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : In(stream), Out(stream)
        What enters, and leaves, in the same order.

    Timing:      latency 1 cycle; a payload a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, shape) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        first = Signal.like(self.o.payload, reset_less=True)
        second = Signal.like(self.o.payload, reset_less=True)  # waits for the first
        waits = Signal()
        m.d.comb += [self.o.payload.eq(first), self.i.ready.eq(~waits)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(waits | self.i.valid),
                first.eq(Mux(waits, second, self.i.payload)),
                waits.eq(0),
            ]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += waits.eq(1)
        with m.If(~waits):  # whether it is valid comes late
            m.d.sync += second.eq(self.i.payload)
        return m


class Register(Component):
    """One payload that waits, so that its giver need not; neither side sees the other's ready.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : In(stream), Out(stream)
        What enters, and leaves.

    Timing:      latency 1 cycle; a payload every second cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, shape) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        held = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += [self.o.payload.eq(held), self.i.ready.eq(~self.o.valid)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.valid.eq(1), held.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


def _bits(value):
    return value.as_value() if hasattr(value, "as_value") else value
