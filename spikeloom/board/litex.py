"""A board behind LiteX's server (``litex_server``): over UART, Ethernet, PCIe or USB."""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from collections.abc import Callable
from typing import Any

import numpy as np

from spikeloom.board.errors import BoardError
from spikeloom.board.words import WordTransport

__all__ = ["LitexServer"]

_MOST_WORDS = 255  # of one Etherbone record
_ADDRESS_BITS = 32


class LitexServer(WordTransport):
    """A client of a LiteX server.

    Parameters
    ----------
    host, port : str, int
        Where it listens.
    registers_base, memory_base : int
        See `WordTransport`.
    """

    def __init__(self, host: str, port: int, registers_base: int, memory_base: int) -> None:
        super().__init__(f"litex:{host}:{port}", registers_base, memory_base)
        try:
            from litex.tools.litex_client import RemoteClient
        except ImportError:
            raise BoardError("a LiteX server needs the package litex: pip install litex") from None
        name = self.name

        class Client(RemoteClient):
            """LiteX's client; where no answer comes it would return zeros."""

            def receive_packet(self, socket, addr_size):
                """Return a packet."""
                packet = super().receive_packet(socket, addr_size)
                if packet == 0:
                    raise BoardError(
                        f"{name} gave no answer: look at litex_server, the cable and the bitstream"
                    )
                return packet

        self._client = Client(host=host, port=port)
        self._client.csr_bus_address_width = _ADDRESS_BITS  # LiteX sets it in some cases only
        try:
            self._client.open()
        except OSError as error:
            raise BoardError(
                f"nothing answers at {host}:{port} ({error.strerror or error}): start litex_server"
            ) from None

    def read_words(self, address: int, count: int) -> np.ndarray:
        """Return words."""
        found: list[int] = []
        for at in range(0, count, _MOST_WORDS):
            part = min(count - at, _MOST_WORDS)
            found += self._talk(self._client.read, address + 4 * at, part)
        return np.array(found, np.uint32)

    def write_words(self, address: int, words: np.ndarray) -> None:
        """Write words."""
        for at in range(0, len(words), _MOST_WORDS):
            part = words[at : at + _MOST_WORDS].tolist()
            self._talk(self._client.write, address + 4 * at, part)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _talk(self, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            raise BoardError(
                f"{self.name} is lost ({error.strerror or error}): connect again; what was under "
                "way is to be done again"
            ) from None
