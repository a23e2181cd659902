"""The simulated accelerator as a board's bridge shows it: registers and memory over a socket.

A cocotb module. It speaks what LiteX's UARTBone speaks on a serial line: a command, the number of
32-bit words, the first word's address, the words; all bytes big-endian. Time passes while a program
runs, and stands still while none does and nothing is asked.
"""

import json
import mmap
import os
import select
import socket
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import First, RisingEdge, Timer

from hw.contract.regs import REGISTERS
from sim.rtl.bench import memory
from sim.rtl.bench.board import PORT_FILE, REGISTERS_BASE, SETTINGS
from sim.rtl.bench.host import HardwareError, Registers
from sim.rtl.bench.host import _reset as reset

__all__ = ["serve"]

_WRITES, _READS = (1, 3), (2, 4)  # of rising addresses, of one address
_RISING = (1, 2)
_PERIOD_NS = 10
_SLICE_CYCLES = 5_000  # between two looks at the socket
_NAMES = {register.offset: name for name, register in REGISTERS.items()}


class _Gone(Exception):
    """The other side has closed the connection."""


class _Bridge:
    """The bus behind the bridge: memory below `REGISTERS_BASE`, registers from there on."""

    def __init__(self, dut, image: Path) -> None:
        self.registers, self._dut = Registers(dut), dut
        with image.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.running = False

    async def read(self, address: int) -> bytes:
        """Return a word, big-endian; zeros where nothing answers."""
        if address < REGISTERS_BASE:
            return self._memory[address : address + 4][::-1].rjust(4, b"\0")
        name = _NAMES.get(address - REGISTERS_BASE)
        return (await self.registers.read(name) if name else 0).to_bytes(4, "big")

    async def write(self, address: int, word: bytes) -> None:
        """Store a word; where nothing is, it is lost."""
        if address < REGISTERS_BASE:
            if address + 4 <= len(self._memory):
                self._memory[address : address + 4] = word[::-1]
        elif name := _NAMES.get(address - REGISTERS_BASE):
            await self.registers.write(name, int.from_bytes(word, "big"))
            self.running = self.running or name == "CONTROL"

    async def go_on(self) -> None:
        """Let time pass until the interrupt, but not for long."""
        irq, fault = self._dut.irq, self._dut.fault
        pause = Timer(_SLICE_CYCLES * _PERIOD_NS, "ns")
        await First(irq.value_change, fault.value_change, pause)
        await RisingEdge(self._dut.clk)  # a timer may end before the edge of the same moment
        if fault.value:
            raise HardwareError(f"the memory saw a fault: {memory.fault()}")
        self.running = bool(await self.registers.read("STATUS") & 1)


class _Line:
    """Bytes of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = b""

    def waiting(self) -> bool:
        """Return whether something has come."""
        return bool(self._left or select.select([self._connection], [], [], 0)[0])

    def take(self, count: int) -> bytes:
        """Return the next bytes, once they have come."""
        while len(self._left) < count:
            more = self._connection.recv(1 << 16)
            if not more:
                raise _Gone
            self._left += more
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(raw)


async def _answer(line: _Line, bridge: _Bridge) -> None:
    """Do what the next command says."""
    command, count = line.take(2)
    first = int.from_bytes(line.take(4), "big") * 4
    step = 4 if command in _RISING else 0
    addresses = [first + step * i for i in range(count)]
    if command in _WRITES:
        raw = line.take(4 * count)
        for i, address in enumerate(addresses):
            await bridge.write(address, raw[4 * i : 4 * i + 4])
    elif command in _READS:
        line.send(b"".join([await bridge.read(address) for address in addresses]))


async def _converse(line: _Line, bridge: _Bridge) -> None:
    while True:
        while bridge.running and not line.waiting():
            await bridge.go_on()
        await _answer(line, bridge)


@cocotb.test()
async def serve(dut) -> None:
    """Serve one connection after the other, until the process is ended."""
    settings = json.loads(os.environ[SETTINGS])
    image = Path(settings["image"])
    memory.configure(**settings)
    dut.rst.value = 1
    Clock(dut.clk, _PERIOD_NS, "ns", impl="gpi").start()
    bridge = _Bridge(dut, image)
    await reset(dut)
    with socket.create_server(("127.0.0.1", 0)) as server:
        part = image.with_name(f"{PORT_FILE}.part")
        part.write_text(str(server.getsockname()[1]))
        part.replace(image.with_name(PORT_FILE))
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                try:
                    await _converse(_Line(connection), bridge)
                except (_Gone, ConnectionError):
                    continue
