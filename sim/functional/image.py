"""A memory image as a device sees it: whole words, counted, and errors beyond its end."""

import numpy as np

from hw.contract.regs import Error

__all__ = ["Fault", "Image"]


class Fault(Exception):
    """A program cannot go on; carries the `hw.contract.regs.Error` that says why."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.name)
        self.error = error


class Image:
    """Bytes of memory behind a port of whole words.

    Parameters
    ----------
    memory : ndarray of uint8
        The bytes, changed in place.
    word_bytes : int
        Bytes of a word.

    Attributes
    ----------
    bytes_read, bytes_written : int
        Bytes of the words read, and the bytes written, which strobes mark one by one.
    """

    def __init__(self, memory: np.ndarray, word_bytes: int) -> None:
        self._memory, self._word_bytes = memory, word_bytes
        self.bytes_read = self.bytes_written = 0

    def read(self, address: int, length: int) -> np.ndarray:
        """View `length` bytes at `address`; raises Fault where some are not there."""
        self.bytes_read += self._words(address, length)
        return self._view(address, length, Error.READ_FAILED)

    def read_rows(self, address: int, row_bytes: int, rows: np.ndarray, stride: int) -> np.ndarray:
        """Return rows of `row_bytes` that lie `stride` apart from `address` on: (rows, bytes)."""
        if not rows.size:
            return np.zeros((0, row_bytes), np.uint8)
        count = int(rows[-1]) + 1
        self.bytes_read += rows.size * row_bytes
        seen = self._view(address, (count - 1) * stride + row_bytes, Error.READ_FAILED)
        return np.lib.stride_tricks.as_strided(seen, (count, row_bytes), (stride, 1))[rows]

    def write(self, address: int, data: np.ndarray) -> None:
        """Write the bytes of `data` at `address`; raises Fault where some do not fit."""
        raw = data.view(np.uint8)
        self._view(address, raw.size, Error.WRITE_FAILED)[:] = raw
        self.bytes_written += raw.size

    def _view(self, address: int, length: int, error: Error) -> np.ndarray:
        if address + length > self._memory.size:
            raise Fault(error)
        return self._memory[address : address + length]

    def _words(self, address: int, length: int) -> int:
        """Return the bytes of the words that a run of bytes touches."""
        first = address // self._word_bytes
        end = -(-(address + length) // self._word_bytes)
        return (end - first) * self._word_bytes
