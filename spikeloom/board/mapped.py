"""Boards whose processor sees the accelerator: registers and memory mapped from device files.

Registers come from UIO or ``/dev/mem``, memory from u-dma-buf or ``/dev/mem``; neither is cached.
"""

import mmap
import os
import select
from pathlib import Path

import numpy as np

from hw.contract.regs import ADDR_WIDTH, offset
from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

__all__ = ["Mapped", "open_memory", "open_uio"]

_UDMABUF = Path("/sys/class/u-dma-buf")


class Mapped(Transport):
    """Registers and memory as files that are mapped.

    Parameters
    ----------
    name : str
        See `Transport`.
    registers, memory : Path
        The files.
    registers_at, memory_at : int
        Where in the files the first register and the memory lie; multiples of a page.
    memory_bytes : int
        How much of the memory is mapped.
    memory_first : int
        Address, as the accelerator sees it, of the first byte of that.
    events : int, optional
        Descriptor that can be read when the interrupt has come, and is written to let it come; it
        is closed with the transport.
    """

    def __init__(
        self,
        name: str,
        registers: Path,
        memory: Path,
        *,
        registers_at: int = 0,
        memory_at: int = 0,
        memory_bytes: int,
        memory_first: int = 0,
        events: int | None = None,
    ) -> None:
        self.name, self._first, self._events = name, memory_first, events
        self._maps: list[mmap.mmap] = []
        window = _map(registers, registers_at, max(1 << ADDR_WIDTH, mmap.PAGESIZE))
        self._maps.append(window)
        # NumPy reads and writes an element as one access of 32 bits, which registers want.
        self._registers = np.frombuffer(window, "<u4")
        self._maps.append(_map(memory, memory_at, memory_bytes))
        self._memory = np.frombuffer(self._maps[1], np.uint8)

    def read(self, address: int) -> int:
        """Return a register."""
        return int(self._registers[address // 4])

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._registers[address // 4] = value

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of the memory."""
        return self._memory[self._within(address, length)].tobytes()

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory."""
        self._memory[self._within(address, len(data))] = np.frombuffer(data, np.uint8)

    def wait(self, seconds: float) -> bool:
        """Wait for the interrupt, where one is wired."""
        if self._events is None:
            return super().wait(seconds)
        os.write(self._events, (1).to_bytes(4, "little"))
        if self.read(offset("IRQ_STATUS")) & 1:
            return True  # it came while nobody listened
        if not select.select([self._events], [], [], seconds)[0]:
            return False
        os.read(self._events, 4)
        return True

    def close(self) -> None:
        """Unmap both."""
        self._registers = self._memory = np.zeros(0, np.uint8)
        for mapped in self._maps:
            mapped.close()
        if self._events is not None:
            os.close(self._events)

    def _within(self, address: int, length: int) -> slice:
        first = address - self._first
        if first < 0 or first + length > self._memory.size:
            end = self._first + self._memory.size
            raise BoardError(
                f"{self.name}: addresses {address:#x} to {address + length:#x} are not within the "
                f"memory that is mapped, {self._first:#x} to {end:#x}: give the board more of it, "
                "or another base"
            )
        return slice(first, first + length)


def open_uio(rest: str, registers_at: int, memory_base: int) -> Mapped:
    """Open ``/dev/uio0,udmabuf0``: registers and interrupt by UIO, memory by u-dma-buf.

    `memory_base` is the physical address of what the accelerator has at address 0.
    """
    uio, _, buffer = rest.partition(",")
    if not uio or not buffer:
        raise ValueError(
            f"a UIO device and a u-dma-buf are wanted, as in /dev/uio0,udmabuf0, not {rest!r}"
        )
    about = _UDMABUF / buffer
    try:
        physical = int((about / "phys_addr").read_text(), 0)
        size = int((about / "size").read_text(), 0)
        events = os.open(uio, os.O_RDWR)
    except OSError as error:
        raise BoardError(
            f"{error.filename} cannot be read ({error.strerror}): load u-dma-buf and the device "
            "tree's overlay"
        ) from None
    if physical < memory_base:
        raise BoardError(
            f"{buffer} lies at {physical:#x}, below what the accelerator has at address 0, "
            f"{memory_base:#x}: reserve its memory there"
        )
    return Mapped(
        f"uio:{rest}",
        Path(uio),
        Path("/dev") / buffer,
        registers_at=registers_at,
        memory_bytes=size,
        memory_first=physical - memory_base,
        events=events,
    )


def open_memory(rest: str, registers: int, memory: int, memory_bytes: int) -> Mapped:
    """Open ``/dev/mem``, or what stands for it: both at their physical addresses, no interrupt."""
    file = Path(rest or "/dev/mem")
    return Mapped(
        f"mem:{file}",
        file,
        file,
        registers_at=registers,
        memory_at=memory,
        memory_bytes=memory_bytes,
    )


def _map(file: Path, at: int, length: int) -> mmap.mmap:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_SYNC)
        try:
            return mmap.mmap(descriptor, length, offset=at)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise BoardError(
            f"{file} cannot be mapped at {at:#x} ({error}): check that it is there, that you may "
            "write it, and the address"
        ) from None
