"""A board under PYNQ: an overlay with the accelerator, memory that PYNQ allocates."""

from pathlib import Path

import numpy as np

from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

__all__ = ["Pynq"]

_BLOCK = "spikeloom"  # what the accelerator's name in the block design begins with


class Pynq(Transport):
    """An accelerator in a PYNQ overlay.

    Parameters
    ----------
    bitstream : str
        Of the overlay; its ``.hwh`` lies beside it.
    memory_base : int
        Physical address of what the accelerator has at address 0.
    memory_bytes : int
        To allocate.
    """

    def __init__(self, bitstream: str, memory_base: int, memory_bytes: int) -> None:
        self.name = f"pynq:{bitstream}"
        if not Path(bitstream).is_file():
            raise BoardError(f"there is no overlay {bitstream}: name its .bit file")
        try:
            import pynq  # pyright: ignore[reportMissingImports] - on boards only
        except ImportError:
            raise BoardError("there is no PYNQ here: run it on a board with PYNQ") from None
        overlay = pynq.Overlay(bitstream)
        names = [name for name in overlay.ip_dict if name.startswith(_BLOCK)]
        if len(names) != 1:
            found = ", ".join(overlay.ip_dict) or "nothing"
            raise BoardError(
                f"{bitstream} must hold one block called {_BLOCK}…, not {found}: name it so in "
                "the block design"
            )
        self._block = getattr(overlay, names[0])
        self._buffer = pynq.allocate(shape=(memory_bytes,), dtype=np.uint8)
        self._first = self._buffer.device_address - memory_base
        if self._first != 0:
            self.close()
            raise BoardError(
                f"PYNQ's memory lies at {memory_base + self._first:#x}, and the accelerator has "
                f"{memory_base:#x} at address 0: give the block design that offset (--memory-base "
                "says what it has), or use u-dma-buf with reserved memory"
            )

    def read(self, address: int) -> int:
        """Return a register."""
        return int(self._block.read(address))

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._block.write(address, value)

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes of the memory, as the accelerator has written them."""
        self._buffer.invalidate()
        return self._buffer[address : address + length].tobytes()

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory, out of the processor's cache too."""
        self._buffer[address : address + len(data)] = np.frombuffer(data, np.uint8)
        self._buffer.flush()

    def close(self) -> None:
        """Free the memory."""
        self._buffer.freebuffer()
