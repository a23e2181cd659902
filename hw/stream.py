"""Small stream helpers: a queue, and a width change."""

from amaranth import Module, Shape, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Narrow", "Queue"]


class Queue(wiring.Component):
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
                 depth is 1 or 2).
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


def _bits(value):
    return value.as_value() if hasattr(value, "as_value") else value


class Narrow(wiring.Component):
    """Cut each wide word into elements, lowest first; the last word of a run may be cut short.

    Parameters
    ----------
    width : int
        Bits of a word.
    element_width : int
        Bits of an element; divides `width`.

    Members
    -------
    i : In(stream)
        Words.
    o : Out(stream)
        Elements.
    flush : In(1)
        With the transfer of an element: the rest of its word is not wanted.

    Timing:      latency 0; one element a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, width: int, element_width: int) -> None:
        self._width, self._element_width = width, element_width
        super().__init__(
            {
                "i": In(stream.Signature(width)),
                "o": Out(stream.Signature(element_width)),
                "flush": In(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        ratio = self._width // self._element_width
        index = Signal(range(max(ratio, 2)))
        last = self.flush | (index == ratio - 1)
        m.d.comb += [
            self.o.payload.eq(self.i.payload.word_select(index, self._element_width)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)
        return m
