"""Element by element: addition, rotation, SwiGLU (numerics, section 8)."""

from math import exp
from operator import add, mul, sub

from amaranth import Module, Mux, signed
from amaranth.lib.wiring import In

from hw.common.fixed import round_half_away, saturate
from hw.common.pipeline import Pipeline, Staged
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes, MultiplyingLanes, finish
from hw.vector.multiply import MULTIPLIERS

__all__ = ["Adder", "Rotator", "SwiGlu"]

_SIGMOID_BITS = 22  # fraction bits of the logistic function
_SEGMENT_BITS = 11  # of an element, within a segment of 1/32
_SEGMENTS = 512  # up to 16


class Adder(Lanes):
    """Compute ``y = sat(a + b)``, or copy a.

    Members, besides those of `Lanes`
    -------
    copies : In(1)
        b counts as zero.

    Timing:      latency 1 move; a word a move.
    Arithmetic:  exact up to saturation.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(params, {"copies": In(1)})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        pipe = Pipeline(m, self.move)
        results = []
        for lane in range(self._params.encode_lanes):
            a, b = pipe.enter(self.a[lane]), pipe.enter(Mux(self.copies, 0, self.b[lane]))
            results.append(
                pipe.stage(f"total{lane}", signed(VECTOR_WIDTH), lambda a, b: saturate(a + b), a, b)
            )
        self.give(m, pipe, self.i_valid, results)
        return m


class Rotator(MultiplyingLanes):
    """Turn neighbouring pairs of a by the cosine and sine that b holds in their place.

    Timing:      latency 6 moves; a word a move.
    Arithmetic:  exact up to one rounding.
    Golden:      golden.numerics.vector
    """

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        results = []
        for lane in range(self._params.encode_lanes):
            pipe = Pipeline(m, self.move, str(lane))
            even = lane & ~1
            x, y = (pipe.enter(self.a[at]) for at in (lane, lane ^ 1))
            cos, sin = (pipe.enter(self.b[at]) for at in (even, even + 1))
            total = pipe.stage(
                "total",
                signed(2 * VECTOR_WIDTH + 1),
                add if lane & 1 else sub,
                self.multiply(m, pipe, MULTIPLIERS * lane, x, cos),
                self.multiply(m, pipe, MULTIPLIERS * lane + 1, y, sin),
            )
            results.append(finish(pipe, total))
        self.give(m, Pipeline(m, self.move), self.i_valid, results)
        return m


def _sigmoid() -> list[int]:
    """Return, for each segment, the function's value and above it the step to the next one."""
    scale = 1 << _SIGMOID_BITS
    values = [int(scale / (1 + exp(-i / 32)) + 0.5) for i in range(_SEGMENTS + 1)]
    return [
        low | (high - low) << (_SIGMOID_BITS + 1)
        for low, high in zip(values, values[1:], strict=False)
    ]


class SwiGlu(MultiplyingLanes):
    """Compute ``y = a * sigmoid(a) * b``.

    Timing:      latency 14 moves; a word a move.
    Arithmetic:  sigmoid by linear interpolation in 512 segments, error below 1.23e-5; two roundings
                 and saturation; a small multiplier a lane of its own.
    Golden:      golden.numerics.vector
    """

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        results = []
        for lane in range(self._params.encode_lanes):
            pipe = Pipeline(m, self.move, str(lane))
            gate, up = pipe.enter(self.a[lane]), pipe.enter(self.b[lane])
            sigmoid = self._sigmoid_of(pipe, gate)
            weighted = self.multiply(m, pipe, MULTIPLIERS * lane, gate, sigmoid)
            swish = pipe.stage(
                "swish",
                signed(VECTOR_WIDTH),
                lambda weighted: round_half_away(weighted, _SIGMOID_BITS),
                weighted,
            )
            product = self.multiply(m, pipe, MULTIPLIERS * lane + 1, swish, up)
            results.append(finish(pipe, product))
        self.give(m, Pipeline(m, self.move), self.i_valid, results)
        return m

    def _sigmoid_of(self, pipe: Pipeline, gate: Staged) -> Staged:
        """Look the segment up, interpolate."""
        table = _sigmoid()
        value_bits = _SIGMOID_BITS + 1
        one = 1 << _SIGMOID_BITS
        magnitude = pipe.stage("magnitude", VECTOR_WIDTH, lambda x: Mux(x < 0, -x, x), gate)
        segment = pipe.enter(magnitude.value >> _SEGMENT_BITS, magnitude.stage)
        entry = pipe.look_up("sigmoid", table, segment)
        place = pipe.enter(magnitude.value[:_SEGMENT_BITS], magnitude.stage)
        beyond = pipe.stage(
            "beyond",
            1,
            lambda x: x[_SEGMENT_BITS + (_SEGMENTS - 1).bit_length() :].any(),
            magnitude,
        )
        step = pipe.enter(entry.value[value_bits:], entry.stage)
        start = pipe.enter(entry.value[:value_bits], entry.stage)
        rise = pipe.stage("rise", len(step.value) + _SEGMENT_BITS, mul, step, place)

        def of_sign(start, rise, beyond, gate):
            upper = Mux(beyond, one, start + (rise >> _SEGMENT_BITS))
            return Mux(gate < 0, one - upper, upper)

        return pipe.stage("sigmoid_of", value_bits, of_sign, start, rise, beyond, gate)
