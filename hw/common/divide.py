"""A serial divider."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component

__all__ = ["BITS_A_CYCLE", "Divider", "division_step"]

BITS_A_CYCLE = 2
"""Bits of a quotient that are found in one cycle."""


def division_step(m: Module, dividend, remainder, divisor) -> list:
    """Return the assignments of one cycle of a restoring division.

    The quotient's bits move into `dividend` from the right as its own leave to the left. `divisor`
    and `remainder` are equally wide.
    """
    rest, quotient = remainder, []
    for bit in range(BITS_A_CYCLE):
        partial = Signal(len(divisor) + 1, name=f"partial{bit}")
        fits = Signal(name=f"fits{bit}")
        left = Signal(len(divisor), name=f"left{bit}")
        m.d.comb += [
            partial.eq(Cat(dividend[-1 - bit], rest)),
            fits.eq(partial >= divisor),
            left.eq(Mux(fits, partial - divisor, partial)),
        ]
        rest = left
        quotient.insert(0, fits)
    return [remainder.eq(rest), dividend.eq(Cat(*quotient, dividend[:-BITS_A_CYCLE]))]


class Divider(Component):
    """Compute ``floor(dividend / divisor)``, unsigned; the divisor is not 0.

    Parameters
    ----------
    dividend_width, divisor_width : int
        Bits of the operands; the quotient is as wide as the dividend.

    Members
    -------
    i : In(stream)
        Dividend and divisor.
    o : Out(stream)
        Quotient.

    Timing:      latency half as many cycles as the dividend has bits, and 2; one at a time.
    Arithmetic:  restoring division, rounded down.
    Golden:      golden.numerics.vector
    """

    def __init__(self, dividend_width: int, divisor_width: int) -> None:
        self._width = width = -(-dividend_width // BITS_A_CYCLE) * BITS_A_CYCLE
        self._divisor_width = divisor_width
        operands = data.StructLayout({"dividend": width, "divisor": divisor_width})
        super().__init__({"i": In(stream.Signature(operands)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        dividend = Signal(self._width)
        divisor, remainder = Signal(self._divisor_width), Signal(self._divisor_width)
        steps = Signal(range(self._width // BITS_A_CYCLE))
        m.d.comb += self.o.payload.eq(dividend)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    dividend.eq(self.i.payload.dividend),
                    divisor.eq(self.i.payload.divisor),
                    remainder.eq(0),
                    steps.eq(self._width // BITS_A_CYCLE - 1),
                ]
                with m.If(self.i.valid):
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += [
                    *division_step(m, dividend, remainder, divisor),
                    steps.eq(steps - 1),
                ]
                with m.If(steps == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
