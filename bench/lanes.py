"""Lanes of an array with nothing around them, to see what the arithmetic alone costs."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.matmul.pe import accumulate

__all__ = ["Lanes"]

_COUNT_WIDTH = 7  # bits of a magnitude up to 127
_STEPS = 8


class Lanes(wiring.Component):
    """Lanes of an array with nothing around them: the operand's register and the accumulator's.

    Parameters
    ----------
    kind : str
        ``adder`` (a ternary spike's weight), ``spike`` (shifted to its step's place first) or
        ``mac`` (times a magnitude first).
    weight_width, acc_width : int
        Bits of a weight and of an accumulator.
    lanes : int
        How many; they share the spike.

    Members
    -------
    weights, factor, plus, minus : In
        A beat, its shift or its magnitude, and the spike.
    v_mem : Out
        The accumulators.

    Timing:      latency 2 cycles; one beat a cycle.
    Arithmetic:  exact, modulo 2^acc_width.
    Golden:      golden.numerics.accumulation.accumulate
    """

    def __init__(self, kind: str, weight_width: int, acc_width: int, lanes: int) -> None:
        self._kind, self._lanes = kind, lanes
        self._weight_width, self._acc_width = weight_width, acc_width
        super().__init__(
            {
                "weights": In(weight_width * lanes),
                "factor": In(range(_STEPS) if kind == "spike" else _COUNT_WIDTH),
                "plus": In(1),
                "minus": In(1),
                "v_mem": Out(acc_width * lanes),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        plus, minus = Signal(), Signal()
        m.d.sync += [plus.eq(self.plus), minus.eq(self.minus)]
        for lane in range(self._lanes):
            weight = self.weights.word_select(lane, self._weight_width).as_signed()
            if self._kind == "spike":
                weight = weight << self.factor
            elif self._kind == "mac":
                weight = weight * self.factor
            acc = Signal(signed(self._acc_width), name=f"acc{lane}")
            operand = Signal(signed(min(len(weight), len(acc))), name=f"operand{lane}")
            total = accumulate(acc, operand, plus | minus, minus)
            m.d.sync += [operand.eq(weight), acc.eq(total)]
            m.d.comb += self.v_mem.word_select(lane, self._acc_width).eq(acc)
        return m
