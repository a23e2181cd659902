"""What came of a run of tokens, on one device or on several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sim.device import Registers, Result
from sim.generate.text import Text
from sim.runs.clock import Clock
from sim.runs.tally import Tally

__all__ = ["Outcome", "Run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run is given.

    Attributes
    ----------
    ids : list of int
        The prompt's tokens.
    registers : Registers
        What the host sets.
    text : Text
        Is told the tokens as they come.
    clock : Clock
        Times the parts.
    say : callable
        Is told what is being done.
    """

    ids: list[int]
    registers: Registers
    text: Text
    clock: Clock
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    result : Result or None
        How the program ended; None where it came to no end.
    words : ndarray of uint32
        The tokens in memory, by position.
    failures : list of str
        Whatever does not hold, a sentence each.
    tally : Tally or None
        What its instructions did, as seen on a device that tells.
    tallied : mapping of str to int or None
        That device's counters.
    more : mapping
        What the report says beyond that of any run.
    """

    result: Result | None
    words: np.ndarray
    failures: list[str]
    tally: Tally | None
    tallied: Mapping[str, int | None] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)
