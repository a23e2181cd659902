"""Finds a token's threshold from its potential: one serial multiplication and division a token."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.common.divide import BITS_A_CYCLE, division_step
from hw.contract.isa import INSTRUCTIONS, Opcode
from hw.contract.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams

__all__ = ["Threshold", "potential_width"]

_ENCODE = INSTRUCTIONS[Opcode.ENCODE]
_MULTIPLIER_WIDTH = _ENCODE["multiplier"].width
_DIVISOR_WIDTH = _ENCODE["divisor"].width
_SHIFTS_WIDTH = _ENCODE["shifts"].width
_CLIP_FRACTION_BITS = 8
_MULTIPLIER_BITS_A_CYCLE = 3


def potential_width(params: HwParams) -> int:
    """Bits of a potential: the sum of the magnitudes of every channel."""
    return VECTOR_WIDTH + params.max_channels.bit_length()


class Threshold(Component):
    """Compute ``V = max(2^(24-S), floor(A * C * 2^16 / Q / 2^S))``, saturating at 56 bits.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Potential A, multiplier C, divisor Q (not 0) and shifts S.
    o : Out(stream)
        Threshold V.

    Timing:      latency `Threshold.latency(params)` cycles; one token at a time.
    Arithmetic:  restoring division, rounded down; no multiplier.
    Golden:      golden.numerics.neuron.threshold
    """

    @staticmethod
    def latency(params: HwParams) -> int:
        """Cycles from a potential to its threshold: take it, multiply, divide."""
        multiply = -(-_MULTIPLIER_WIDTH // _MULTIPLIER_BITS_A_CYCLE)
        return 1 + multiply + _dividend_width(params) // BITS_A_CYCLE

    def __init__(self, params: HwParams) -> None:
        self._params = params
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout(
                            {
                                "potential": potential_width(params),
                                "multiplier": _MULTIPLIER_WIDTH,
                                "divisor": _DIVISOR_WIDTH,
                                "shifts": _SHIFTS_WIDTH,
                            }
                        )
                    )
                ),
                "o": Out(stream.Signature(params.threshold_width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        width = self._params.threshold_width
        shift = THRESHOLD_FRACTION_BITS - _CLIP_FRACTION_BITS
        product_width = potential_width(self._params) + _MULTIPLIER_WIDTH
        dividend = Signal(_dividend_width(self._params))
        product = Signal(product_width)
        multiplicand = Signal(product_width)
        multiplier = Signal(_MULTIPLIER_WIDTH)
        divisor = Signal(_DIVISOR_WIDTH)
        threefold = Signal(_DIVISOR_WIDTH + BITS_A_CYCLE)
        remainder = Signal(_DIVISOR_WIDTH)
        shifts = Signal(_SHIFTS_WIDTH)
        divide_cycles = len(dividend) // BITS_A_CYCLE
        steps = Signal(range(divide_cycles))

        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    multiplicand.eq(self.i.payload.potential),
                    multiplier.eq(self.i.payload.multiplier),
                    divisor.eq(self.i.payload.divisor),
                    shifts.eq(self.i.payload.shifts),
                    threefold.eq(self.i.payload.divisor + (self.i.payload.divisor << 1)),
                    product.eq(0),
                    remainder.eq(0),
                    steps.eq(-(-_MULTIPLIER_WIDTH // _MULTIPLIER_BITS_A_CYCLE) - 1),
                ]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                total = Signal.like(product)
                m.d.comb += total.eq(
                    sum(
                        (
                            Mux(multiplier[bit], multiplicand << bit, 0)
                            for bit in range(_MULTIPLIER_BITS_A_CYCLE)
                        ),
                        product,
                    )
                )
                m.d.sync += [
                    product.eq(total),
                    multiplicand.eq(multiplicand << _MULTIPLIER_BITS_A_CYCLE),
                    multiplier.eq(multiplier >> _MULTIPLIER_BITS_A_CYCLE),
                    steps.eq(steps - 1),
                    dividend.eq(total << shift),
                ]
                with m.If(steps == 0):
                    m.d.sync += steps.eq(divide_cycles - 1)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += [
                    *division_step(m, dividend, remainder, divisor, threefold),
                    steps.eq(steps - 1),
                ]
                with m.If(steps == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                # The coarsest threshold of a group is one lsb at least.
                finest = Signal(range(THRESHOLD_FRACTION_BITS + 1))
                quotient = Signal.like(dividend)
                m.d.comb += [
                    self.o.valid.eq(1),
                    finest.eq(THRESHOLD_FRACTION_BITS - shifts),
                    quotient.eq(dividend >> shifts),
                    self.o.payload.eq(quotient),
                ]
                with m.If((dividend >> THRESHOLD_FRACTION_BITS) == 0):
                    m.d.comb += self.o.payload.eq(1 << finest)
                with m.Elif(quotient[width:].any()):
                    m.d.comb += self.o.payload.eq((1 << width) - 1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m


def _dividend_width(params: HwParams) -> int:
    shift = THRESHOLD_FRACTION_BITS - _CLIP_FRACTION_BITS
    bits = potential_width(params) + _MULTIPLIER_WIDTH + shift
    return -(-bits // BITS_A_CYCLE) * BITS_A_CYCLE
