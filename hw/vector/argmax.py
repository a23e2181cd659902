"""The index of a row's largest element (numerics, section 8)."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.pipeline import Pipeline, Staged
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes

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
    gathers : Out(1)
        It is not found yet.
    largest, index : Out
        The element and its index.

    Timing:      latency 2 moves, and one for each doubling of the lanes; a word a move.
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
                "gathers": Out(1),
                "largest": Out(signed(VECTOR_WIDTH)),
                "index": Out(INDEX_WIDTH),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        pipe = Pipeline(m, self.move)
        elements = [self._arrived(pipe, lane) for lane in range(self._params.encode_lanes)]
        of_word, place = self._best(pipe, elements, 0)
        valid = pipe.valid(self.i_valid)
        group = pipe.at(pipe.enter(self.group), of_word.stage)
        found = Signal()
        comes = self.move & pipe.at(valid, of_word.stage)
        with m.If(comes & (~found | (of_word.value > self.largest))):
            m.d.sync += [
                found.eq(1),
                self.largest.eq(of_word.value),
                self.index.eq(Cat(place.value, group)),
            ]
        with m.If(self.clear):
            m.d.sync += found.eq(0)
        m.d.comb += self.gathers.eq(pipe.any(valid, 1, of_word.stage))
        return m

    def _arrived(self, pipe: Pipeline, lane: int) -> tuple[Staged, Staged]:
        """Return an element of the word, and whether there is one, in registers beside them."""
        element = pipe.enter(self.a[lane])
        inside = pipe.enter(self.inside[lane])
        return (
            pipe.stage(f"element{lane}", signed(VECTOR_WIDTH), lambda value: value, element),
            pipe.stage(f"inside{lane}", 1, lambda bit: bit, inside),
        )

    def _best(
        self, pipe: Pipeline, elements: list[tuple[Staged, Staged]], lane: int
    ) -> tuple[Staged, Staged]:
        """Return the best of some elements from `lane` on, and its place among them."""
        count = len(elements)
        if count == 1:
            element, _ = elements[0]
            return element, pipe.enter(Const(0, 0), element.stage)
        half = count // 2
        left, left_place = self._best(pipe, elements[:half], lane)
        right, right_place = self._best(pipe, elements[half:], lane + half)
        _, inside = elements[half]  # an element is if those before it are

        def better(left, right, inside):
            return inside & (right > left)

        best = pipe.stage(
            f"best{lane}_of{count}_",
            signed(VECTOR_WIDTH),
            lambda *pair: Mux(better(*pair), pair[1], pair[0]),
            *(left, right, inside),
        )
        place = pipe.stage(
            f"place{lane}_of{count}_",
            exact_log2(count),
            lambda *pair: Mux(better(*pair[:3]), Cat(pair[4], 1), Cat(pair[3], 0)),
            *(left, right, inside, left_place, right_place),
        )
        return best, place
