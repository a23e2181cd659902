"""What one side of the comparison shows of each instruction's results."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from sim.diverge.record import Record
from sim.diverge.steps import Piece, Step

__all__ = ["Dump", "Replay", "Source", "Taken"]


class Taken(NamedTuple):
    """Elements of a piece, each (rows, elements).

    Attributes
    ----------
    values : ndarray of int64
        The elements.
    written : ndarray of bool
        Whether the device wrote them at all.
    visible : ndarray of bool
        Whether that can be told.
    """

    values: np.ndarray
    written: np.ndarray
    visible: np.ndarray


def whole(values: np.ndarray) -> Taken:
    """Return elements that are all known."""
    yes = np.ones(values.shape, bool)
    return Taken(values.astype(np.int64), yes, yes)


class Source(Protocol):
    """A device, or what is left of its run; asked for each piece once, in the program's order.

    Attributes
    ----------
    end : str or None
        How it ended, as a phrase, if it tells.
    """

    end: str | None

    def take(self, step: Step, piece: Piece) -> Taken | None:
        """Return a piece, or None where it cannot be seen."""
        ...

    def left(self) -> list[int]:
        """Return, in order, the addresses of bytes that no step has written."""
        ...


class Replay:
    """A record: of each byte, one writing after the other."""

    def __init__(self, record: Record) -> None:
        self.end: str | None = record.end
        self._counts = record.counts
        order = np.argsort(record.addresses, kind="stable")
        self._values = record.values[order]
        self._bytes, self._next, count = np.unique(
            record.addresses[order], return_index=True, return_counts=True
        )
        self._end = self._next + count

    def take(self, step: Step, piece: Piece) -> Taken | None:
        """Return a piece; see `Source`."""
        if piece.kind == "counts":
            return self._batch(step, piece)
        addresses = piece.byte_addresses()
        if not self._bytes.size:
            nothing = np.zeros(addresses.shape[:2], bool)
            return Taken(nothing.astype(np.int64), nothing, ~nothing)
        at = np.minimum(np.searchsorted(self._bytes, addresses), self._bytes.size - 1)
        there = (self._bytes[at] == addresses) & (self._next[at] < self._end[at])
        raw = self._values[np.minimum(self._next[at], self._values.size - 1)]
        self._next[at[there]] += 1
        written = there.all(axis=2)
        return Taken(piece.values(raw), written, np.ones(written.shape, bool))

    def left(self) -> list[int]:
        """Return what is left over; see `Source`."""
        return self._bytes[self._next < self._end].tolist()

    def _batch(self, step: Step, piece: Piece) -> Taken | None:
        if self._counts is None:
            return None
        shape = (piece.rows, piece.elements)
        values, written = np.zeros(shape, np.int64), np.zeros(shape, bool)
        if step.batch <= len(self._counts):
            found = self._counts[step.batch - 1][: shape[0], : shape[1]]
            rows, elements = found.shape
            values[:rows, :elements], written[:rows, :elements] = found, True
        return Taken(values, written, np.ones(shape, bool))


class Dump:
    """Memory after a run, of which each byte's last writing is left.

    Parameters
    ----------
    memory : ndarray of uint8
        The bytes, by address.
    known : ndarray of bool
        Which of them there are.
    steps : sequence of Step
        The program's.
    """

    end: str | None = None

    def __init__(self, memory: np.ndarray, known: np.ndarray, steps: Sequence[Step]) -> None:
        self._memory, self._known = memory, known
        self._last = np.zeros(memory.size, np.uint32)  # number of the writing step, and 1
        for step in steps:
            for piece in step.pieces:
                if piece.kind != "counts":
                    self._last[piece.byte_addresses()] = step.number + 1

    def take(self, step: Step, piece: Piece) -> Taken | None:
        """Return a piece; see `Source`."""
        if piece.kind == "counts":
            return None
        addresses = piece.byte_addresses()
        stands = (self._last[addresses] == step.number + 1) & self._known[addresses]
        visible = stands.all(axis=2)
        values = piece.values(self._memory[addresses])
        return Taken(values, np.ones(visible.shape, bool), visible)

    def left(self) -> list[int]:
        """Return nothing: memory does not tell what has been written."""
        return []
