"""What every device offers: a compiled program and inputs go in, outputs and counters come out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.params import HwParams
from hw.contract.regs import COUNTERS, Error

__all__ = ["NO_TOKEN", "Device", "Finished", "Registers", "Result", "WholeDevice", "no_counts"]

NO_TOKEN = (1 << 32) - 1
"""A stop token that no vocabulary has."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run left behind.

    Attributes
    ----------
    outputs : dict of str to ndarray
        By output region, (tokens, channels) in int32 (Q15.16); after an error, whatever is there.
    counters : dict of str to int or None
        By name of `hw.contract.regs.COUNTERS`; None where the device has no notion of it.
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


@dataclass(frozen=True, kw_only=True)
class Registers:
    """What the host sets before it starts a program, by the names of `hw.contract.regs.REGISTERS`.

    A program without TOKEN needs none of it.
    """

    first_position: int = 0
    prompt_end: int = 0
    end_position: int = 0
    stop_token: int = NO_TOKEN


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What the host finds when a program has ended, besides memory.

    Attributes
    ----------
    counters : dict of str to int or None
        By name of `hw.contract.regs.COUNTERS`; None where the device has no notion of it.
    error : Error
        The first error, `Error.NONE` after a good run.
    position : int
        Register POSITION.
    """

    counters: dict[str, int | None]
    error: Error
    position: int


class WholeDevice(Protocol):
    """Something that executes the program of a whole model."""

    name: str

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers,
        on_token: Callable[[int, int], None],
    ) -> Finished:
        """Execute the program once.

        Parameters
        ----------
        memory : ndarray of uint8
            The memory image, changed in place.
        program : int
            Byte address of the program's header.
        params : HwParams
            The hardware.
        registers : Registers
            What is set before the start.
        on_token : callable
            Is given each position and the token that ARGMAX puts there: as it comes, or after the
            end where the device cannot tell earlier.
        """
        ...


def no_counts() -> dict[str, int | None]:
    """Return every counter, in the order of the registers, not counted yet."""
    return dict.fromkeys(COUNTERS)
