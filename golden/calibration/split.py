"""The parts of a text that calibration uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["FOLD_CHARACTERS", "Split", "split"]

FOLD_CHARACTERS = 32768
"""Of a text, that a fold is found on."""


@dataclass
class Split:
    """Split of a text that calibration uses, from its end backwards.

    Attributes
    ----------
    fold : str
        The last `FOLD_CHARACTERS`, of whole documents but for the first of them.
    slopes, checks : list of windows
        Of the tokens before those every other window, for curves and for running recipes.
    lessons : list of windows
        The tokens before those, for distillation.
    """

    fold: str
    slopes: list[list[int]]
    checks: list[list[int]]
    lessons: list[list[int]]


def split(
    documents: Sequence[str],
    encode: Callable[[str], list[int]],
    context: int,
    tokens: int,
    lessons: int = 0,
) -> Split:
    """Part the end of a text: `tokens` for slopes and checks, and at most so many for lessons."""
    documents, tail = list(documents), ""
    while documents and len(tail) < FOLD_CHARACTERS:
        document = documents.pop()
        cut = max(0, len(document) - (FOLD_CHARACTERS - len(tail)))
        tail = document[cut:].strip() + "\n" + tail
        if cut:
            documents.append(document[:cut])
    backwards = (encode(document) for document in reversed(documents))
    rest: list[int] = []

    def windows(wanted: int) -> list[list[int]]:
        """Cut windows off the end; each document's are in order."""
        nonlocal rest
        found: list[list[int]] = []
        while (left := wanted - sum(map(len, found))) > 0:
            if not rest:
                rest = next(backwards, [])
                if not rest:
                    break
            ids, rest = rest[-left:], rest[:-left]
            found += [ids[start : start + context] for start in range(0, len(ids), context)]
        return [window for window in found if len(window) > 1]

    found = windows(tokens)
    return Split(tail, found[::2], found[1::2], windows(lessons))
