"""A serial divider."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component

__all__ = ["BITS_A_CYCLE", "Divider", "division_step"]

BITS_A_CYCLE = 2
"""Bits of a quotient that are found in one cycle."""


def division_step(m: Module, dividend, remainder, divisor, threefold) -> list:
    """Return the assignments of one cycle of a restoring division.

    The quotient's bits move into `dividend` from the right as its own leave to the left. `divisor`
    and `remainder` are equally wide, `threefold` is three times the divisor.
    """
    width = len(divisor) + BITS_A_CYCLE
    partial = Signal(width)
    m.d.comb += partial.eq(Cat(dividend[-BITS_A_CYCLE:], remainder))
    rest, quotient = partial, Const(0, BITS_A_CYCLE)
    for digit, multiple in enumerate((divisor, divisor << 1, threefold), start=1):
        left = Signal(signed(width + 1), name=f"left{digit}")
        fits = Signal(name=f"fits{digit}")
        m.d.comb += [left.eq(partial - multiple), fits.eq(left >= 0)]
        rest, quotient = Mux(fits, left, rest), Mux(fits, digit, quotient)
    return [remainder.eq(rest), dividend.eq(Cat(quotient, dividend[:-BITS_A_CYCLE]))]


class Divider(Component):
    """Compute ``floor(dividend / divisor)``, unsigned; the divisor is not 0.

    Parameters
    ----------
    dividend_width, divisor_width : int
        Bits of the operands; the quotient is as wide as the dividend.

    Members
    -------
    i : In(stream)
        Dividend and divisor. A division that is known to begin with zeros can begin later: `steps`
        are left, which see the dividend's highest bits, and `remainder` (less than the divisor) is
        what the others left.
    o : Out(stream)
        Quotient.

    Timing:      latency 2 cycles and one a step, of which the whole dividend takes half as many as
                 it has bits; one at a time.
    Arithmetic:  restoring division, rounded down.
    Golden:      golden.numerics.vector
    """

    def __init__(self, dividend_width: int, divisor_width: int) -> None:
        self.steps = -(-dividend_width // BITS_A_CYCLE)
        self._width = width = self.steps * BITS_A_CYCLE
        self._divisor_width = divisor_width
        operands = data.StructLayout(
            {
                "dividend": width,
                "divisor": divisor_width,
                "remainder": divisor_width,
                "steps": range(self.steps + 1),
            }
        )
        super().__init__({"i": In(stream.Signature(operands)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        dividend = Signal(self._width)
        divisor, remainder = Signal(self._divisor_width), Signal(self._divisor_width)
        threefold = Signal(self._divisor_width + BITS_A_CYCLE)
        steps = Signal(range(self.steps + 1))
        # A bit a state: nothing has to be decoded before it reaches all these registers.
        running, done = Signal(), self.o.valid
        m.d.comb += [self.o.payload.eq(dividend), self.i.ready.eq(~running & ~done)]
        with m.If(running):
            m.d.sync += [
                *division_step(m, dividend, remainder, divisor, threefold),
                steps.eq(steps - 1),
                running.eq(steps != 1),
                done.eq(steps == 1),
            ]
        with m.Elif(~done):
            m.d.sync += [
                dividend.eq(self.i.payload.dividend),
                divisor.eq(self.i.payload.divisor),
                threefold.eq(self.i.payload.divisor + (self.i.payload.divisor << 1)),
                remainder.eq(self.i.payload.remainder),
                steps.eq(self.i.payload.steps),
                running.eq(self.i.valid),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += done.eq(0)
        return m
