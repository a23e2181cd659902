"""The first difference between two sources, in the order of the program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim.diverge.sources import Source, Taken
from sim.diverge.steps import Piece, Step

__all__ = ["Difference", "Outcome", "compare"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first place where two sources differ.

    Attributes
    ----------
    step : Step
        The instruction.
    piece : Piece
        What of its results.
    row, element : int
        Where in the piece.
    a, b : int or None
        The values; None where it was not written.
    differing, compared : int
        Elements of the piece that differ, and that both sides show.
    """

    step: Step
    piece: Piece
    row: int
    element: int
    a: int | None
    b: int | None
    differing: int
    compared: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a comparison.

    Attributes
    ----------
    first : Difference or None
        The first one.
    compared, hidden : int
        Elements compared up to there, and those that one side does not show.
    instructions : int
        Those gone through.
    beyond : str or None
        Where no result of an instruction differs: what else does, as a sentence.
    """

    first: Difference | None
    compared: int
    hidden: int
    instructions: int
    beyond: str | None


def compare(
    steps: Sequence[Step],
    a: Source,
    b: Source,
    place_of: Callable[[int], str],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Outcome:
    """Walk two sources until they differ.

    Parameters
    ----------
    steps : sequence of Step
        The program as it was executed.
    a, b : Source
        The sides.
    place_of : callable
        Returns an address as a place in a region.
    progress : callable
        Is told instructions gone through, and all of them.
    """
    compared = hidden = 0
    for number, step in enumerate(steps):
        for piece in step.pieces:
            ours, theirs = a.take(step, piece), b.take(step, piece)
            elements = piece.rows * piece.elements
            if ours is None or theirs is None:
                hidden += elements
                continue
            both = ours.visible & theirs.visible
            seen = int(both.sum())
            compared, hidden = compared + seen, hidden + elements - seen
            differs = both & _differs(ours, theirs)
            if differs.any():
                row, element = map(int, np.argwhere(differs)[0])
                first = Difference(
                    step=step,
                    piece=piece,
                    row=row,
                    element=element,
                    a=_value(ours, row, element),
                    b=_value(theirs, row, element),
                    differing=int(differs.sum()),
                    compared=seen,
                )
                return Outcome(
                    first=first,
                    compared=compared,
                    hidden=hidden,
                    instructions=number + 1,
                    beyond=None,
                )
        progress(number + 1, len(steps))
    return Outcome(
        first=None,
        compared=compared,
        hidden=hidden,
        instructions=len(steps),
        beyond=_beyond(a, b, place_of),
    )


def _differs(ours: Taken, theirs: Taken) -> np.ndarray:
    either = ours.written | theirs.written
    return (ours.written != theirs.written) | (either & (ours.values != theirs.values))


def _value(taken: Taken, row: int, element: int) -> int | None:
    return int(taken.values[row, element]) if taken.written[row, element] else None


def _beyond(a: Source, b: Source, place_of: Callable[[int], str]) -> str | None:
    """Return what differs besides the results of instructions."""
    if a.end is not None and b.end is not None and a.end != b.end:
        return f"A {a.end}, B {b.end}"
    for name, source in (("A", a), ("B", b)):
        if left := source.left():
            return (
                f"{name} wrote {len(left):,} bytes more often than the program does, the first at "
                f"{place_of(left[0])}"
            )
    return None
