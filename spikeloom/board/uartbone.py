"""LiteX's UARTBone: words of the bus over a serial line, or over a socket that stands for one.

A command is a byte that says what (1 writes, 2 reads words of rising addresses), the number of
words, the first word's number in four bytes, and of a write the words; all bytes big-endian.
"""

# pyright: reportMissingModuleSource=false
# pyserial is an extra: the types are checked where it is installed.

import socket
import time
from typing import Protocol

import numpy as np

from spikeloom.board.errors import BoardError
from spikeloom.board.words import WordTransport

__all__ = ["SerialLine", "SocketLine", "UartBone"]

_WRITE, _READ = 1, 2
_MOST_WORDS = 255  # of one command
_SECONDS = 10.0  # after which a line that says nothing is taken for dead
_SOCKET_SECONDS = 120.0  # the same: a simulation takes longer to work off what is buffered
_FIRST_SECONDS = 20.0  # the same, for its first answer: nothing is buffered then
_SETTLE_SECONDS = 5.0  # after which it is no answer that still comes, but another's talk
_SILENT_SECONDS = 0.25  # after which nothing is left of another's command: a bridge's limit is 0.1


class Line(Protocol):
    """Bytes to the bridge and back."""

    def send(self, raw: bytes) -> None:
        """Send all bytes."""
        ...

    def take(self, count: int) -> bytes:
        """Return so many bytes; raises BoardError where they do not come."""
        ...

    def settle(self) -> None:
        """Drop what still comes, until nothing does: answers to who had the line before."""
        ...

    def close(self) -> None:
        """Close the line."""
        ...


class SocketLine:
    """A line over TCP, as a simulated board has it.

    Parameters
    ----------
    host, port : str, int
        Where it listens.
    patience : float
        Seconds of silence after which it is taken for dead; a simulation may take its time.
    """

    def __init__(self, host: str, port: int, patience: float = _SOCKET_SECONDS) -> None:
        self._place, self._patience = f"{host}:{port}", patience
        try:
            self._socket = socket.create_connection((host, port), patience)
        except OSError as error:
            raise BoardError(
                f"nothing answers at {self._place} ({error.strerror or error}): start the "
                "simulation or the server, and name its port"
            ) from None
        self._socket.settimeout(min(patience, _FIRST_SECONDS))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, raw: bytes) -> None:
        """Send all bytes."""
        try:
            self._socket.sendall(raw)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from None

    def take(self, count: int) -> bytes:
        """Return so many bytes."""
        parts = []
        while count:
            try:
                part = self._socket.recv(count)
            except OSError as error:
                raise self._lost(error.strerror or str(error)) from None
            if not part:
                raise self._lost("closed by the other side")
            parts.append(part)
            count -= len(part)
        self._socket.settimeout(self._patience)
        return b"".join(parts)

    def settle(self) -> None:
        """Drop what still comes, until nothing does."""
        patience = self._socket.gettimeout()
        self._socket.settimeout(_SILENT_SECONDS)
        end = time.monotonic() + _SETTLE_SECONDS
        try:
            while self._socket.recv(1 << 16):
                _hold_on(end, self._place)
        except TimeoutError:
            self._socket.settimeout(patience)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from None
        else:
            raise self._lost("closed by the other side")

    def close(self) -> None:
        """Close the line."""
        self._socket.close()

    def _lost(self, why: str) -> BoardError:
        return BoardError(
            f"the connection to {self._place} is lost ({why}): connect again; what was under way "
            "is to be done again"
        )


class SerialLine:
    """A serial port.

    Parameters
    ----------
    device : str
        Such as ``/dev/ttyUSB1``.
    baud : int
        As the bridge has it.
    """

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial
        except ImportError:
            raise BoardError(
                "a serial line needs the package pyserial: pip install pyserial"
            ) from None
        try:
            self._port = serial.Serial(device, baud, timeout=_SECONDS, exclusive=True)
        except serial.SerialException as error:
            raise BoardError(
                f"{device} cannot be used ({error}): end what else has it, or name another port"
            ) from None
        self._device, self._trouble = device, serial.SerialException

    def send(self, raw: bytes) -> None:
        """Send all bytes."""
        try:
            self._port.write(raw)
        except self._trouble as error:
            raise BoardError(f"{self._device} is lost ({error}): connect again") from None

    def take(self, count: int) -> bytes:
        """Return so many bytes."""
        try:
            raw = self._port.read(count)
        except self._trouble as error:
            raise BoardError(f"{self._device} is lost ({error}): connect again") from None
        if len(raw) < count:
            raise BoardError(
                f"{self._device} gave {len(raw)} of {count} bytes in {_SECONDS:g} s: check the "
                "bitstream, the port and the baud rate"
            )
        return raw

    def settle(self) -> None:
        """Drop what still comes, until nothing does."""
        self._port.timeout = _SILENT_SECONDS
        end = time.monotonic() + _SETTLE_SECONDS
        try:
            while self._port.read(self._port.in_waiting or 1):
                _hold_on(end, self._device)
        except self._trouble as error:
            raise BoardError(f"{self._device} is lost ({error}): connect again") from None
        self._port.timeout = _SECONDS

    def close(self) -> None:
        """Close the port."""
        self._port.close()


class UartBone(WordTransport):
    """A board behind a UARTBone.

    Parameters
    ----------
    line : Line
        The bytes.
    name, registers_base, memory_base
        See `WordTransport`.
    """

    def __init__(self, line: Line, name: str, registers_base: int, memory_base: int) -> None:
        super().__init__(name, registers_base, memory_base)
        self._line = line
        line.settle()

    def read_words(self, address: int, count: int) -> np.ndarray:
        """Return words; one command at a time, since a bridge hears nothing while it speaks."""
        parts = []
        for at in range(0, count, _MOST_WORDS):
            part = min(count - at, _MOST_WORDS)
            self._line.send(_command(_READ, part, address + 4 * at))
            parts.append(self._line.take(4 * part))
        return np.frombuffer(b"".join(parts), ">u4").astype(np.uint32)

    def write_words(self, address: int, words: np.ndarray) -> None:
        """Write words."""
        raw, parts = words.astype(">u4").tobytes(), []
        for at in range(0, len(words), _MOST_WORDS):
            part = raw[4 * at : 4 * (at + _MOST_WORDS)]
            parts += [_command(_WRITE, len(part) // 4, address + 4 * at), part]
        self._line.send(b"".join(parts))

    def close(self) -> None:
        """Close the line."""
        self._line.close()


def _hold_on(end: float, place: str) -> None:
    """Raise BoardError where a line has not fallen silent in time."""
    if time.monotonic() > end:
        raise BoardError(
            f"{place} speaks without being asked: it is no bridge's line, name another port, or "
            "the bridge's baud rate"
        )


def _command(what: int, count: int, address: int) -> bytes:
    return bytes([what, count]) + (address // 4).to_bytes(4, "big")
