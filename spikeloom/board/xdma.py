"""A board on PCI Express behind AMD's XDMA: device files of its driver."""

import os
import select
from pathlib import Path

from hw.contract.regs import offset
from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

__all__ = ["Xdma"]

_MOST_BYTES = 1 << 22  # of one transfer


class Xdma(Transport):
    """Registers through ``_user``, memory through ``_h2c_0`` and ``_c2h_0``.

    Parameters
    ----------
    device : str
        What the files' names begin with, such as ``/dev/xdma0``.
    registers_base : int
        Of the registers in the user window.
    memory_base : int
        AXI address of what the accelerator has at address 0.
    """

    def __init__(self, device: str, registers_base: int = 0, memory_base: int = 0) -> None:
        self.name = f"xdma:{device}"
        self._registers_base, self._memory_base = registers_base, memory_base
        self._files: dict[str, int] = {}
        kinds = {"user": os.O_RDWR, "h2c_0": os.O_WRONLY, "c2h_0": os.O_RDONLY}
        if Path(f"{device}_events_0").exists():
            kinds["events_0"] = os.O_RDONLY
        for kind, how in kinds.items():
            try:
                self._files[kind] = os.open(f"{device}_{kind}", how)
            except OSError as error:
                self.close()
                raise BoardError(
                    f"{device}_{kind} cannot be opened ({error.strerror}): load the driver xdma, "
                    "and check that the board is programmed and was there at the last rescan"
                ) from None

    def read(self, address: int) -> int:
        """Return a register."""
        raw = self._get("user", self._registers_base + address, 4)
        return int.from_bytes(raw, "little")

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._put("user", self._registers_base + address, value.to_bytes(4, "little"))

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of the memory."""
        parts, at = [], self._memory_base + address
        while length:
            part = self._get("c2h_0", at, min(length, _MOST_BYTES))
            parts.append(part)
            at, length = at + len(part), length - len(part)
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory."""
        for at in range(0, len(data), _MOST_BYTES):
            self._put("h2c_0", self._memory_base + address + at, data[at : at + _MOST_BYTES])

    def wait(self, seconds: float) -> bool:
        """Wait for the interrupt, where the driver has a file for it."""
        events = self._files.get("events_0")
        if events is None or self.read(offset("IRQ_STATUS")) & 1:
            return super().wait(seconds)
        if not select.select([events], [], [], seconds)[0]:
            return False
        os.read(events, 4)
        return True

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            os.close(file)
        self._files = {}

    def _get(self, kind: str, at: int, length: int) -> bytes:
        try:
            raw = os.pread(self._files[kind], length, at)
        except OSError as error:
            raise self._lost(kind, at, error.strerror) from None
        if not raw:
            raise self._lost(kind, at, "nothing came")
        return raw

    def _put(self, kind: str, at: int, raw: bytes) -> None:
        try:
            written = os.pwrite(self._files[kind], raw, at)
        except OSError as error:
            raise self._lost(kind, at, error.strerror) from None
        if written != len(raw):
            raise self._lost(kind, at, f"{written} of {len(raw)} bytes were taken")

    def _lost(self, kind: str, at: int, why: str | None) -> BoardError:
        return BoardError(
            f"{self.name}_{kind} fails at {at:#x} ({why}): check the base addresses, and the "
            "kernel's log for a timeout"
        )
