"""RMSNorm's two passes over a row (numerics, section 8)."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hw.contract.params import FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes, chain, round_half_away, saturate

__all__ = ["FACTOR_WIDTH", "Norm", "squares_width"]

FACTOR_WIDTH = 18
"""Bits of G, at most 2^17."""


def squares_width(params: HwParams) -> int:
    """Bits of the sum of the squares of every channel."""
    return 2 * (VECTOR_WIDTH - 1) + params.max_channels.bit_length()


class Norm(Lanes):
    """Sum up squares; then compute ``y = sat(rnd(sat(rnd(a * G, places)) * b, 16))``.

    Members, besides those of `Lanes`
    -------
    sums : In(1)
        The words go into the sum, not into results.
    inside : In
        Lanes whose elements count in it.
    clear : In(1)
        Start the sum at zero.
    squares : Out
        The sum, complete when nothing is inside.
    factor, places : In
        G, and 32 - s.

    Timing:      latency 4 moves, of the sum 3; a word a move.
    Arithmetic:  the sum is exact; two roundings; two multipliers a lane, and one for the sum.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(
            params,
            {
                "sums": In(1),
                "inside": In(params.encode_lanes),
                "clear": In(1),
                "squares": Out(squares_width(params)),
                "factor": In(FACTOR_WIDTH),
                "places": In(6),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        lanes = self._params.encode_lanes
        valid = chain(m, self.move, self.i_valid & ~self.sums, 4, "valid")
        summing = chain(m, self.move, self.i_valid & self.sums, 2, "summing")
        m.d.comb += [
            self.busy.eq(Cat(*valid[1:], *summing[1:]).any()),
            self.o_valid.eq(valid[4]),
        ]

        squares = [Signal(2 * VECTOR_WIDTH - 1, name=f"square{lane}") for lane in range(lanes)]
        of_word = Signal(2 * VECTOR_WIDTH - 1 + lanes.bit_length())
        with m.If(self.move):
            m.d.sync += of_word.eq(sum(squares))
            with m.If(summing[2]):
                m.d.sync += self.squares.eq(self.squares + of_word)
        with m.If(self.clear):
            m.d.sync += self.squares.eq(0)

        for lane in range(lanes):
            x = self.a[lane]
            gain = chain(m, self.move, self.b[lane], 2, f"gain{lane}_")
            scaled = Signal(signed(VECTOR_WIDTH + FACTOR_WIDTH), name=f"scaled{lane}")
            normed = Signal(signed(VECTOR_WIDTH), name=f"normed{lane}")
            product = Signal(signed(2 * VECTOR_WIDTH), name=f"product{lane}")
            with m.If(self.move):
                m.d.sync += [
                    squares[lane].eq(Mux(self.inside[lane], x * x, 0)),
                    scaled.eq(x * self.factor),
                    normed.eq(saturate(round_half_away(scaled, self.places))),
                    product.eq(normed * gain[2]),
                    self.o[lane].eq(saturate(round_half_away(product, FRACTION_BITS))),
                ]
        return m
