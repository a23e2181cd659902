"""What every device offers: a compiled program and inputs go in, outputs and counters come out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compiler.program import Compiled
from hw.regs import COUNTERS, Error

__all__ = ["Device", "Result", "no_counts"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run left behind.

    Attributes
    ----------
    outputs : dict of str to ndarray
        By output region, (tokens, channels) in int32 (Q15.16); after an error, whatever is there.
    counters : dict of str to int or None
        By name of `hw.regs.COUNTERS`; None where the device has no notion of it.
    error : Error
        The first error, `Error.NONE` after a good run.
    """

    outputs: dict[str, np.ndarray]
    counters: dict[str, int | None]
    error: Error


class Device(Protocol):
    """Something that executes compiled programs."""

    name: str

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute the program once, from a fresh memory.

        Parameters
        ----------
        compiled : Compiled
            The program and its weights.
        inputs : mapping of str to ndarray
            For each input region its vectors, (tokens, channels) in int32 (Q15.16).

        Raises
        ------
        ValueError
            Where `inputs` are not those of `compiled`.
        """
        ...


def no_counts() -> dict[str, int | None]:
    """Return every counter, in the order of the registers, not counted yet."""
    return dict.fromkeys(COUNTERS)
