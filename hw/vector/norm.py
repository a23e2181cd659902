"""RMSNorm's two passes over a row (numerics, section 8)."""

from operator import rshift

from amaranth import Const, Module, Mux, signed
from amaranth.lib.wiring import In, Out

from hw.common.fixed import saturate
from hw.common.pipeline import Pipeline, Staged
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.vector.lanes import MultiplyingLanes, finish
from hw.vector.multiply import MULTIPLIERS

__all__ = ["FACTOR_WIDTH", "Norm", "squares_width"]

FACTOR_WIDTH = 18
"""Bits of G, at most 2^17."""


def squares_width(params: HwParams) -> int:
    """Bits of the sum of the squares of every channel."""
    return 2 * (VECTOR_WIDTH - 1) + params.max_channels.bit_length()


class Norm(MultiplyingLanes):
    """Sum up squares; then compute ``y = sat(rnd(sat(rnd(a * G, 32 - s)) * b, 16))``.

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
    squares : Out
        The sum.
    factor, shift : In
        G, and 31 - s.

    Timing:      latency 11 moves, of the sum 5; a word a move.
    Arithmetic:  the sum is exact; two roundings.
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
                "squares": Out(squares_width(params)),
                "factor": In(FACTOR_WIDTH),
                "shift": In(5),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        whole = Pipeline(m, self.move)
        inside = whole.enter(self.inside)
        squares: list[Staged] = []
        results: list[Staged] = []
        for lane in range(self._params.encode_lanes):
            pipe = Pipeline(m, self.move, str(lane))
            x, gain = pipe.enter(self.a[lane]), pipe.enter(self.b[lane])
            other = pipe.enter(Mux(self.sums, self.a[lane], self.factor))
            product = self.multiply(m, pipe, MULTIPLIERS * lane, x, other)
            squares.append(pipe.enter(product.value[: 2 * VECTOR_WIDTH - 1], product.stage))

            # One less where it is negative: then halves are rounded up from either side.
            scaled_shape = signed(VECTOR_WIDTH + FACTOR_WIDTH)
            scaled = pipe.stage("scaled", scaled_shape, lambda value: value - (value < 0), product)
            shift = pipe.enter(self.shift, scaled.stage)
            shifted = pipe.stage("shifted", scaled_shape, rshift, scaled, shift)
            normed = pipe.stage(
                "normed",
                signed(VECTOR_WIDTH),
                lambda value: saturate((value + 1) >> 1),
                shifted,
            )
            product = self.multiply(m, pipe, MULTIPLIERS * lane + 1, normed, gain)
            results.append(finish(pipe, product))

        of_word = whole.stage(
            "of_word",
            2 * VECTOR_WIDTH - 1 + self._params.encode_lanes.bit_length(),
            lambda inside, *squares: sum(
                (Mux(inside[lane], square, 0) for lane, square in enumerate(squares)), Const(0)
            ),
            inside,
            *squares,
        )
        self.give(m, whole, self.i_valid & ~self.sums, results)
        summing = whole.valid(self.i_valid & self.sums)
        m.d.comb += self.gathers.eq(whole.any(summing, 1, of_word.stage))
        with m.If(self.move & whole.at(summing, of_word.stage)):
            m.d.sync += self.squares.eq(self.squares + of_word.value)
        with m.If(self.clear):
            m.d.sync += self.squares.eq(0)
        return m
