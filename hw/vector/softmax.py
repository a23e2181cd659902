"""Softmax's passes over a row that has its largest score (numerics, section 8)."""

from operator import mul

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hw.common.pipeline import Pipeline, Staged
from hw.contract.isa import SCALE, STEEPNESS_WIDTH
from hw.contract.params import FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.vector.lanes import MultiplyingLanes
from hw.vector.multiply import MULTIPLIERS

__all__ = ["EXP_BITS", "RECIPROCAL_WIDTH", "Softmax", "total_width"]

EXP_BITS = 24
"""Fraction bits of an exponential."""
RECIPROCAL_WIDTH = 18
"""Bits of r, at most 2^17."""
_SEGMENTS = 256
_PLACE_BITS = 8  # of t, within a segment
_RAISED = 4  # a scale's exponent less this is the shift that gives w its 2^12


def total_width(params: HwParams) -> int:
    """Bits of the sum of every channel's exponential."""
    return EXP_BITS + params.max_channels.bit_length()


def _exponentials() -> list[int]:
    """Return, for each segment, the power's value and above it the step down to the next one."""
    values = [int(2 ** (EXP_BITS - i / _SEGMENTS) + 0.5) for i in range(_SEGMENTS + 1)]
    return [
        low | (low - high) << (EXP_BITS + 1) for low, high in zip(values, values[1:], strict=False)
    ]


class Softmax(MultiplyingLanes):
    """Sum up exponentials; then weigh scaled probabilities.

    `a` are scores, `b` the scale words of the value rows.

    Members, besides those of `MultiplyingLanes`
    -------
    sums : In(1)
        The words go into the sum, not into results.
    inside : In
        Lanes whose elements count in it.
    clear : In(1)
        Start the sum at zero.
    gathers : Out(1)
        The sum is not complete.
    largest : In
        The row's largest score.
    steepness : In
        mu.
    total : Out
        The sum.
    reciprocal, shift : In
        r, and 8 + z.

    Timing:      latency 18 moves, of the sum 11; a word a move.
    Arithmetic:  powers of two by linear interpolation in 256 segments; two small multipliers a lane
                 of its own.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(
            params,
            {
                "sums": In(1),
                "inside": In(params.encode_lanes),
                "clear": In(1),
                "gathers": Out(1),
                "largest": In(signed(VECTOR_WIDTH)),
                "steepness": In(STEEPNESS_WIDTH),
                "total": Out(total_width(params)),
                "reciprocal": In(RECIPROCAL_WIDTH),
                "shift": In(6),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        whole = Pipeline(m, self.move)
        inside = whole.enter(self.inside)
        powers: list[Staged] = []
        results: list[Staged] = []
        for lane in range(self._params.encode_lanes):
            pipe = Pipeline(m, self.move, str(lane))
            powers.append(power := self._power(m, pipe, lane))
            results.append(self._weight(m, pipe, lane, power))
        of_word = whole.stage(
            "of_word",
            EXP_BITS + 1 + self._params.encode_lanes.bit_length(),
            lambda inside, *powers: sum(
                (Mux(inside[lane], power, 0) for lane, power in enumerate(powers)), Const(0)
            ),
            inside,
            *powers,
        )
        self.give(m, whole, self.i_valid & ~self.sums, results)
        summing = whole.valid(self.i_valid & self.sums)
        m.d.comb += self.gathers.eq(whole.any(summing, 1, of_word.stage))
        with m.If(self.move & whole.at(summing, of_word.stage)):
            m.d.sync += self.total.eq(self.total + of_word.value)
        with m.If(self.clear):
            m.d.sync += self.total.eq(0)
        return m

    def _power(self, m: Module, pipe: Pipeline, lane: int) -> Staged:
        """Return ``2^-((largest - a) * mu)``."""
        table = _exponentials()
        value_bits = EXP_BITS + 1
        distance = Signal(VECTOR_WIDTH, name=f"distance{lane}")
        m.d.comb += distance.eq(Mux(self.inside[lane], self.largest - self.a[lane], 0))
        steepness = pipe.enter(self.steepness)
        steep = self.multiply(m, pipe, MULTIPLIERS * lane, pipe.enter(distance), steepness)
        t = pipe.stage(
            "t",
            VECTOR_WIDTH + STEEPNESS_WIDTH - EXP_BITS + 1,
            lambda steep: (steep.as_unsigned() + (1 << EXP_BITS - 1)) >> EXP_BITS,
            steep,
        )
        # Look the fraction's segment up, interpolate, shift by the whole part.
        segment = pipe.enter(t.value[_PLACE_BITS:FRACTION_BITS], t.stage)
        place = pipe.enter(t.value[:_PLACE_BITS], t.stage)
        whole = pipe.enter(t.value[FRACTION_BITS:], t.stage)
        entry = pipe.look_up("powers", table, segment)
        start = pipe.enter(entry.value[:value_bits], entry.stage)
        step = pipe.enter(entry.value[value_bits:], entry.stage)
        fall = pipe.stage("fall", len(step.value) + _PLACE_BITS, mul, step, place)
        near = pipe.stage(
            "near", value_bits, lambda start, fall: start - (fall >> _PLACE_BITS), start, fall
        )
        return pipe.stage(
            "power",
            value_bits,
            lambda near, whole: Mux(whole > EXP_BITS, 0, near >> whole[:5]),
            near,
            whole,
        )

    def _weight(self, m: Module, pipe: Pipeline, lane: int, power: Staged) -> Staged:
        """Return the probability, times the row's scale."""
        reciprocal = pipe.enter(self.reciprocal, power.stage)
        share = self.multiply(m, pipe, MULTIPLIERS * lane + 1, power, reciprocal)
        share_width = EXP_BITS + 1 + RECIPROCAL_WIDTH
        shift = pipe.enter(self.shift, share.stage)
        shared = pipe.stage(
            "shared", share_width, lambda share, shift: share.as_unsigned() >> shift, share, shift
        )
        probability = pipe.stage(
            "probability", EXP_BITS + 2, lambda shared: (shared + 1) >> 1, shared
        )
        scale = SCALE(self.b[lane].as_unsigned())
        mantissa, exponent = pipe.enter(scale.mantissa), pipe.enter(scale.exponent)
        weight = pipe.product("weight", probability, mantissa)
        shifted = pipe.stage(
            "shifted",
            len(weight.value) + _RAISED + 1,
            lambda weight, exponent: Cat(Const(0, _RAISED + 1), weight) >> exponent,
            weight,
            exponent,
        )
        highest = (1 << VECTOR_WIDTH - 1) - 1

        def rounding(shifted):
            value = (shifted[: VECTOR_WIDTH + 1] + 1) >> 1
            above = shifted[VECTOR_WIDTH + 1 :].any() | value[VECTOR_WIDTH - 1 :].any()
            return Mux(above, highest, value)

        return pipe.stage("result", VECTOR_WIDTH, rounding, shifted)
