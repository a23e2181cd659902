"""A UARTBone over TCP before a fake board, written from LiteX's `Stream2Wishbone`."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.spikeloom.board.fake import FakeBoard

REGISTERS, MEMORY = 0x9000_0000, 0x4000_0000


class Bridge:
    """Serves one connection after the other; `log` has each command: what, words, address."""

    def __init__(self, board: FakeBoard) -> None:
        self.board, self.log = board, []
        self.closes_after: int | None = None
        self.left = b""  # of an answer, for who connects next
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.sendall(self.left)
            with connection, connection.makefile("rb") as line:
                while command := line.read(2):
                    if len(self.log) == self.closes_after:
                        self.closes_after = None
                        break
                    self._answer(command, line, connection)

    def _answer(self, command, line, connection) -> None:
        what, count = command
        first = int.from_bytes(line.read(4), "big") * 4
        self.log.append((what, count, first))
        step = {1: 4, 2: 4, 3: 0, 4: 0}[what]
        for i in range(count):
            address = first + step * i
            if what in (1, 3):
                self._write(address, int.from_bytes(line.read(4), "big"))
            else:
                connection.sendall(self._read(address).to_bytes(4, "big"))

    def _read(self, address: int) -> int:
        if address >= REGISTERS:
            self.board.wait(0)  # time passes
            return self.board.read(address - REGISTERS)
        return int.from_bytes(self.board.read_memory(address - MEMORY, 4), "little")

    def _write(self, address: int, value: int) -> None:
        if address >= REGISTERS:
            self.board.write(address - REGISTERS, value)
        else:
            self.board.write_memory(address - MEMORY, value.to_bytes(4, "little"))


@contextmanager
def bridged(board: FakeBoard) -> Iterator[Bridge]:
    """Serve a board."""
    bridge = Bridge(board)
    try:
        yield bridge
    finally:
        bridge.close()
