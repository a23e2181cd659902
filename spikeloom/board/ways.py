"""The transports by the names that users give them, and the one place that opens one."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hw.contract.params import HwParams
from spikeloom.board.lock import LITEX_PORT, alone
from spikeloom.board.training import Training
from spikeloom.board.transport import Transport
from spikeloom.board.words import WordTransport, bus_address

__all__ = ["SIMULATION", "SYSTEM", "WAYS", "Bases", "bases_of", "is_simulated", "open_transport"]

SIMULATION, SYSTEM = "simulation", "system"

WAYS = {
    SIMULATION: "simulation",
    SYSTEM: "system",
    "uartbone": "uartbone:/dev/ttyUSB1@1000000, or uartbone:HOST:PORT",
    "litex": "litex:HOST:PORT",
    "uio": "uio:/dev/uio0,udmabuf0",
    "mem": "mem:/dev/mem",
    "pynq": "pynq:FILE.bit",
    "xdma": "xdma:/dev/xdma0",
}
"""The transports: by the word that a way begins with, its form."""

_BAUD = 1_000_000  # of `hw.soc`
_LAST_PORT = 65535
_FASTEST_BAUD = 100_000_000  # faster than any UART


@dataclass(frozen=True, kw_only=True)
class Bases:
    """Where a board's bus has things; None where the transport has a place of its own.

    Attributes
    ----------
    registers : int or None
        Address of the first register.
    memory : int or None
        Address of what the accelerator has at address 0.
    memory_bytes : int or None
        Of that memory, where it is known.
    training : Training or None
        Where the board says that its DRAM is trained, if it does.
    """

    registers: int | None = None
    memory: int | None = None
    memory_bytes: int | None = None
    training: Training | None = None

    def given(self, way: str) -> tuple[int, int]:
        """Return both; raises ValueError where one is wanted and not given."""
        if self.registers is None or self.memory is None:
            raise ValueError(
                f"{way}: where registers and memory lie on the bus must be given, with --csr, or "
                "with --registers and --memory-base"
            )
        return self.registers, self.memory


def bases_of(csr: Path) -> Bases:
    """Return the addresses that LiteX's ``csr.json`` says of a system that was built.

    Raises
    ------
    ValueError
        Where it is no such file, or the system has no accelerator or no memory.
    """
    try:
        about = json.loads(csr.read_text())
        memories = about["memories"]
        ram = memories["main_ram"]
        return Bases(
            registers=bus_address(memories["spikeloom"]["base"]),
            memory=bus_address(ram["base"]),
            memory_bytes=bus_address(ram["size"]) if "size" in ram else None,
            training=Training.of(about),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{csr} does not say where spikeloom and main_ram lie ({error}): name the csr.json "
            "that python -m hw soc wrote"
        ) from None


def is_simulated(way: str) -> bool:
    """Return whether a way leads to a board that is made for it."""
    return way in (SIMULATION, SYSTEM)


@contextmanager
def open_transport(
    way: str,
    bases: Bases,
    params: HwParams,
    memory_bytes: int,
    say: Callable[[str], None] = lambda _doing: None,
) -> Iterator[Transport]:
    """Open the transport that `way` names; a context, which no other process has meanwhile.

    Parameters
    ----------
    way : str
        A word of `WAYS`, and what follows it after a colon.
    bases : Bases
        Where registers and memory lie on a bus that has both.
    params : HwParams
        The hardware, for a simulation of it.
    memory_bytes : int
        Of a simulation's memory.
    say : callable
        Is told where a simulation has to be built.

    Raises
    ------
    ValueError
        Where there is no such way.
    BoardError
        Where nothing is at its end, or another process has it.
    """
    kind, _, rest = way.partition(":")
    if kind not in WAYS or is_simulated(kind) == bool(rest):
        forms = "; ".join(WAYS.values())
        raise ValueError(f"the transport must be one of {forms}; not {way!r}")
    if is_simulated(kind):
        with _simulated(kind, params, memory_bytes, say) as transport:
            yield transport
        return
    with alone(way), _OPENERS[kind](rest, bases, params, memory_bytes) as transport:
        if bases.training and isinstance(transport, WordTransport):
            bases.training.wait(transport)
        yield transport


def _simulated(
    kind: str, params: HwParams, memory_bytes: int, say: Callable[[str], None]
) -> Transport:
    from spikeloom.board.simulation import SimulatedSystem, Simulation

    if kind == SIMULATION:
        return Simulation(params, memory_bytes, say=say)
    return SimulatedSystem(params, say)


def _uartbone(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.uartbone import SerialLine, SocketLine, UartBone

    places = bases.given(f"uartbone:{rest}")
    if rest.startswith("/") or rest.upper().startswith("COM"):
        device, _, baud = rest.partition("@")
        line = SerialLine(device, _number(baud, "a baud rate", _FASTEST_BAUD) if baud else _BAUD)
    else:
        line = SocketLine(*_host_and_port(rest))
    return UartBone(line, f"uartbone:{rest}", *places)


def _litex(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.litex import LitexServer

    return LitexServer(*_host_and_port(rest, LITEX_PORT), *bases.given(f"litex:{rest}"))


def _uio(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.mapped import open_uio

    return open_uio(rest, bases.registers or 0, bases.memory or 0)


def _mem(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.mapped import open_memory

    return open_memory(rest, *bases.given(f"mem:{rest}"), memory_bytes)


def _pynq(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.overlay import Pynq

    return Pynq(rest, bases.memory or 0, memory_bytes)


def _xdma(rest: str, bases: Bases, params: HwParams, memory_bytes: int) -> Transport:
    from spikeloom.board.xdma import Xdma

    return Xdma(rest, bases.registers or 0, bases.memory or 0)


def _host_and_port(text: str, port: int | None = None) -> tuple[str, int]:
    host, _, given = text.rpartition(":") if ":" in text else (text, "", "")
    if not host or not (given or port):
        raise ValueError(f"a host and its port are wanted, such as localhost:1234, not {text!r}")
    return host, _number(given, "a port", _LAST_PORT) if given else port or 0


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
        raise ValueError(f"{what} is a number from 1 to {most}, not {text[:20]!r}")
    if not 0 < int(text) <= most:
        raise ValueError(f"{what} is a number from 1 to {most}, not {text}")
    return int(text)


_OPENERS: dict[str, Callable[[str, Bases, HwParams, int], Transport]] = {
    "uartbone": _uartbone,
    "litex": _litex,
    "uio": _uio,
    "mem": _mem,
    "pynq": _pynq,
    "xdma": _xdma,
}
