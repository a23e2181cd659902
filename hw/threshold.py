"""Finds a token's threshold from its potential: one serial multiplication and division a token."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.isa import INSTRUCTIONS, Opcode
from hw.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams

__all__ = ["Threshold", "potential_width"]

_ENCODE = INSTRUCTIONS[Opcode.ENCODE]
_MULTIPLIER_WIDTH = _ENCODE["multiplier"].width
_DIVISOR_WIDTH = _ENCODE["divisor"].width
_CLIP_FRACTION_BITS = 8


def potential_width(params: HwParams) -> int:
    """Bits of a potential: the sum of the magnitudes of every channel."""
    return VECTOR_WIDTH + params.max_channels.bit_length()


class Threshold(wiring.Component):
    """Compute ``V = max(2^24, floor(A * C * 2^16 / Q))``, saturating at 56 bits.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Potential A, multiplier C and divisor Q (not 0).
    o : Out(stream)
        Threshold V.

    Timing:      latency 1 + 9 + (bits of A + 25) cycles; one token at a time.
    Arithmetic:  restoring division, rounded down; no multiplier.
    Golden:      golden.encoding.threshold
    """

    def __init__(self, params: HwParams) -> None:
        self._potential_width = potential_width(params)
        self._width = params.threshold_width
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout(
                            {
                                "potential": self._potential_width,
                                "multiplier": _MULTIPLIER_WIDTH,
                                "divisor": _DIVISOR_WIDTH,
                            }
                        )
                    )
                ),
                "o": Out(stream.Signature(self._width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        shift = THRESHOLD_FRACTION_BITS - _CLIP_FRACTION_BITS
        product_width = self._potential_width + _MULTIPLIER_WIDTH
        dividend = Signal(product_width + shift)
        product = Signal(product_width)
        multiplicand = Signal(product_width)
        multiplier = Signal(_MULTIPLIER_WIDTH)
        divisor = Signal(_DIVISOR_WIDTH)
        remainder = Signal(_DIVISOR_WIDTH + 1)
        steps = Signal(range(max(dividend.shape().width, _MULTIPLIER_WIDTH) + 1))

        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    multiplicand.eq(self.i.payload.potential),
                    multiplier.eq(self.i.payload.multiplier),
                    divisor.eq(self.i.payload.divisor),
                    product.eq(0),
                    remainder.eq(0),
                    steps.eq(_MULTIPLIER_WIDTH - 1),
                ]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                total = Signal.like(product)
                m.d.comb += total.eq(product + Mux(multiplier[0], multiplicand, 0))
                m.d.sync += [
                    product.eq(total),
                    multiplicand.eq(multiplicand << 1),
                    multiplier.eq(multiplier >> 1),
                    steps.eq(steps - 1),
                    dividend.eq(total << shift),
                ]
                with m.If(steps == 0):
                    m.d.sync += steps.eq(dividend.shape().width - 1)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                partial = Signal(_DIVISOR_WIDTH + 1)
                fits = Signal()
                # The quotient's bits move in from the right as the dividend's leave to the left.
                m.d.comb += [
                    partial.eq(Cat(dividend[-1], remainder)),
                    fits.eq(partial >= divisor),
                ]
                m.d.sync += [
                    remainder.eq(Mux(fits, partial - divisor, partial)),
                    dividend.eq(Cat(fits, dividend[:-1])),
                    steps.eq(steps - 1),
                ]
                with m.If(steps == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                one_lsb = 1 << THRESHOLD_FRACTION_BITS
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(dividend)]
                with m.If(dividend < one_lsb):
                    m.d.comb += self.o.payload.eq(one_lsb)
                with m.Elif(dividend[self._width :].any()):
                    m.d.comb += self.o.payload.eq((1 << self._width) - 1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
