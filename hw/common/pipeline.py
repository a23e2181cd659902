"""Pipelines: registers that move on together, and multiplication in stages of one multiplier."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, mul
from typing import NamedTuple

from amaranth import Cat, Const, Module, Shape, Signal, Value
from amaranth.lib import memory

__all__ = ["PRODUCT_STAGES", "Pipeline", "Staged"]

PRODUCT_STAGES = 2
"""Stages of a product: one for the device's multipliers, one for the sum of what they give."""

_SIGNED_PIECE, _UNSIGNED_PIECE = 17, 18
"""Bits of an operand that one multiplier takes: FPGAs have 18 signed bits at least."""


class Staged(NamedTuple):
    """A value, and the number of moves after which it belongs to the word that entered.

    What says whether there is a word `resets` to zero, everywhere in the pipeline; numbers do not.
    """

    value: Value
    stage: int
    resets: bool = False


class Pipeline:
    """Registers that move on together; a value waits until those that it meets are there.

    Parameters
    ----------
    m : Module
        Where the registers go.
    move : Value
        They move on.
    name : str, optional
        What all their names end in.
    """

    def __init__(self, m: Module, move: Value, name: str = "") -> None:
        self._m, self._move, self._name = m, move, name
        self._delayed: dict[int, list[Value]] = {}

    def enter(self, value, stage: int = 0) -> Staged:
        """Return `value`, which comes from outside after `stage` moves."""
        return Staged(Value.cast(value), stage)

    def valid(self, value) -> Staged:
        """Return the bit `value`, which says whether a word enters: it resets."""
        return Staged(Value.cast(value), 0, resets=True)

    def stage(self, name: str, shape, compute: Callable[..., Value], *operands: Staged) -> Staged:
        """Return a register of what `compute` makes of the operands, once the last one is there."""
        number = max(operand.stage for operand in operands)
        result = Signal(shape, name=f"{name}{self._name}", reset_less=True)
        self._register(result, compute(*(self.at(operand, number) for operand in operands)))
        return Staged(result, number + 1)

    def at(self, operand: Staged, stage: int) -> Value:
        """Return a value as it is `stage` moves after its word entered."""
        if stage < operand.stage:
            raise ValueError(f"stage must be at least {operand.stage}, not {stage}")
        values = self._delayed.setdefault(id(operand.value), [operand.value])
        while len(values) <= stage - operand.stage:
            name = getattr(operand.value, "name", "value")
            later = Signal(
                operand.value.shape(),
                name=f"{name}_{len(values)}",
                reset_less=not operand.resets,
            )
            self._register(later, values[-1])
            values.append(later)
        return values[stage - operand.stage]

    def any(self, operand: Staged, first: int, last: int) -> Value:
        """Return whether the bit `operand` is set in one of these stages."""
        return Cat(self.at(operand, stage) for stage in range(first, last + 1)).any()

    def product(self, name: str, x: Staged, y: Staged) -> Staged:
        """Return ``x * y``, exact, `PRODUCT_STAGES` moves after the later of them.

        Raises ValueError where the operands take more pieces than two and two, or four and one, and
        where signed ones take more than two.
        """
        stage = max(x.stage, y.stage)
        operands = self.at(x, stage), self.at(y, stage)
        signed = any(operand.shape().signed for operand in operands)
        width = _SIGNED_PIECE if signed else _UNSIGNED_PIECE
        left, right = (_pieces(operand, width) for operand in operands)
        diagonals: list[list[Staged]] = [[] for _ in range(len(left) + len(right) - 1)]
        single = 1 in (len(left), len(right))
        if len(diagonals) > (2 if signed and single else 4 if single else 3):
            raise ValueError(f"{name} must be of fewer pieces than {len(left)} and {len(right)}")
        for i, first in enumerate(left):
            for j, second in enumerate(right):
                pair = Staged(first, stage), Staged(second, stage)
                shape = (first * second).shape()
                diagonals[i + j].append(self.stage(f"{name}{i}{j}_", shape, mul, *pair))

        def total(*partials: Value) -> Value:
            values = iter(partials)
            low, *more = [reduce(add, [next(values) for _ in some]) for some in diagonals]
            if len(more) == 3:  # every other diagonal begins above the end of the one before
                more[0] = Cat(more[0], Const(0, 2 * width - len(more[0])), more[2])
            if len(more) > 1:
                high = more[1]
                both = Cat(low, Const(0, 2 * width - len(low)), high)
                low = both.as_signed() if high.shape().signed else both
            return low + (more[0] << width) if more else low

        shape = Shape(sum(map(len, operands)), signed)
        return self.stage(name, shape, total, *(part for some in diagonals for part in some))

    def look_up(self, name: str, table: Sequence[int], index: Staged) -> Staged:
        """Return the entry of a read-only memory, 2 moves after its index: a memory is slow."""
        rom = memory.Memory(shape=max(table).bit_length(), depth=len(table), init=table)
        self._m.submodules[f"{name}{self._name}"] = rom
        read = rom.read_port()
        self._m.d.comb += [read.addr.eq(index.value), read.en.eq(self._move)]
        entry = self.enter(read.data, index.stage + 1)
        return self.stage(f"{name}_entry", len(read.data), lambda value: value, entry)

    def _register(self, signal: Signal, value: Value) -> None:
        with self._m.If(self._move):
            self._m.d.sync += signal.eq(value)


def _pieces(value: Value, width: int) -> list[Value]:
    """Cut a value into pieces of `width` bits; the last one has its sign."""
    count = -(-(len(value) - value.shape().signed) // width)
    pieces = [value[width * i : width * (i + 1)] for i in range(count - 1)]
    last = value[width * (count - 1) :]
    return [*pieces, last.as_signed() if value.shape().signed else last]
