"""Transports over a bus of 32-bit words, on which registers and memory each have a place."""

from abc import abstractmethod

import numpy as np

from spikeloom.board.transport import Transport

__all__ = ["WordTransport", "bus_address"]


def bus_address(value: object, bits: int = 32) -> int:
    """Return an address, or a size, of a bus of words; raises ValueError where it is none."""
    if isinstance(value, int) and 0 <= value < 1 << bits and value % 4 == 0:
        return value
    raise ValueError(f"{value!r} is no multiple of 4 below 2^{bits}")


class WordTransport(Transport):
    """A transport that reads and writes words of a bus.

    Parameters
    ----------
    name : str
        See `Transport`.
    registers_base : int
        Bus address of the first register.
    memory_base : int
        Bus address of what the accelerator has at address 0.
    """

    def __init__(self, name: str, registers_base: int, memory_base: int) -> None:
        self.name = name
        self._registers_base, self._memory_base = registers_base, memory_base

    @abstractmethod
    def read_words(self, address: int, count: int) -> np.ndarray:
        """Return words from a bus address on, uint32."""

    @abstractmethod
    def write_words(self, address: int, words: np.ndarray) -> None:
        """Write words, uint32, from a bus address on."""

    def read(self, address: int) -> int:
        """Return a register."""
        return int(self.read_words(self._registers_base + address, 1)[0])

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self.write_words(self._registers_base + address, np.array([value], np.uint32))

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of the memory; whole words are read."""
        if not length:
            return b""
        first = address // 4 * 4
        count = -(-(address + length - first) // 4)
        raw = self.read_words(self._memory_base + first, count).astype("<u4").tobytes()
        return raw[address - first :][:length]

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes; where they begin or end within a word, the rest of it is read first."""
        raw, end = bytes(data), address + len(data)
        if not raw:
            return
        first, last = address // 4 * 4, -(-end // 4) * 4
        if first < address:
            raw = self.read_memory(first, address - first) + raw
        if end < last:
            raw += self.read_memory(end, last - end)
        self.write_words(self._memory_base + first, np.frombuffer(raw, "<u4"))
