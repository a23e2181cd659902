"""The way to a board: registers, memory, and the end of a run, whatever lies between."""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from hw.contract.regs import offset

__all__ = ["Transport"]

_SHORTEST, _LONGEST = 0.0005, 0.05  # seconds between two looks at a board that cannot call


class Transport(ABC):
    """A way to one accelerator and its memory; a context, which closes it.

    Attributes
    ----------
    name : str
        What the user called it: it names the board in sentences, and its lock.
    """

    name: str

    @abstractmethod
    def read(self, address: int) -> int:
        """Return the 32-bit register at a byte offset of `hw.contract.regs`."""

    @abstractmethod
    def write(self, address: int, value: int) -> None:
        """Write the 32-bit register at a byte offset."""

    @abstractmethod
    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of the memory, at an address as the accelerator sees it."""

    @abstractmethod
    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory, at an address as the accelerator sees it."""

    def wait(self, seconds: float) -> bool:
        """Wait for the interrupt, at most so many seconds; returns whether it has come.

        Where no interrupt reaches the host, register IRQ_STATUS is looked at now and then.
        """
        until, pause = time.monotonic() + seconds, _SHORTEST
        while not self.read(offset("IRQ_STATUS")) & 1:
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST)
        return True

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Give the way free."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
