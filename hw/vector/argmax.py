"""The index of a row's largest element (numerics, section 8)."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes, chain

__all__ = ["INDEX_WIDTH", "Argmax"]

INDEX_WIDTH = 24
"""Bits of an index."""


class Argmax(Lanes):
    """Keep the largest element of `a` and its index, of equal ones the first.

    Members, besides those of `Lanes`
    -------
    group : In
        Number of the word in its row.
    inside : In
        Lanes whose elements count.
    clear : In(1)
        Forget it.
    index : Out
        The index, when nothing is inside.

    Timing:      latency 2 moves; a word a move.
    Arithmetic:  exact.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(
            params,
            {
                "group": In(INDEX_WIDTH),
                "inside": In(params.encode_lanes),
                "clear": In(1),
                "index": Out(INDEX_WIDTH),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        lanes = self._params.encode_lanes
        valid = chain(m, self.move, self.i_valid, 1, "valid")
        m.d.comb += self.busy.eq(valid[1])
        found = Signal()
        largest, of_word = Signal(signed(VECTOR_WIDTH)), Signal(signed(VECTOR_WIDTH))
        place = Signal(INDEX_WIDTH)
        best, lane_of_best = self.a[0], 0  # a word's first element is always inside
        for lane in range(1, lanes):
            better = self.inside[lane] & (self.a[lane] > best)
            best, lane_of_best = Mux(better, self.a[lane], best), Mux(better, lane, lane_of_best)
        with m.If(self.move):
            m.d.sync += [
                of_word.eq(best),
                place.eq((self.group << exact_log2(lanes)) + lane_of_best),
            ]
            with m.If(valid[1] & (~found | (of_word > largest))):
                m.d.sync += [found.eq(1), largest.eq(of_word), self.index.eq(place)]
        with m.If(self.clear):
            m.d.sync += found.eq(0)
        return m
