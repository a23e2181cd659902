"""A board in this process: the cycle device behind registers, with faults on request."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.regs import (
    COUNTERS,
    REGISTERS,
    VERSION,
    Control,
    Error,
    FaultKind,
    Status,
    capabilities,
)
from sim.cycle.device import Cycle
from sim.device import Registers
from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

NAMES = {register.offset: name for name, register in REGISTERS.items()}
SETTINGS = ("FIRST_POSITION", "PROMPT_END", "END_POSITION", "STOP_TOKEN")


@dataclass
class Faults:
    """What is wrong with a board; by default nothing is."""

    stored: Callable[[int, np.ndarray], np.ndarray] = lambda _address, data: data
    read: Callable[[int], int] = lambda address: address
    slave_error: int | None = None
    hangs: bool = False
    slow: bool = False  # the host sees it at every position
    ignores_abort: bool = False
    owes_answers: bool = False  # an abort waits for them, a second one gives them up
    lost_interrupt: bool = False
    lost_start: bool = False
    lost_after_writes: int | None = None
    registers: dict[str, int] = field(default_factory=dict)


class FakeBoard(Transport):
    """A transport to such a board; it counts what is written to memory."""

    def __init__(self, params: HwParams, memory_bytes: int, faults: Faults | None = None) -> None:
        self.name = f"a fake board {id(self)}"
        self.params, self.faults = params, faults or Faults()
        self.memory = np.full(memory_bytes, 0xEE, np.uint8)  # a DRAM holds anything at first
        identity = int(fingerprint(params), 16)
        self.registers = dict.fromkeys(REGISTERS, 0) | {"VERSION": VERSION}
        self.registers |= {f"ID{i}": identity >> 32 * i & 0xFFFF_FFFF for i in range(8)}
        for name, value in capabilities(params).items():
            self.registers[f"CAPABILITY_{name.upper()}"] = value
        self.registers |= self.faults.registers
        self.register_writes: list[tuple[str, int]] = []
        self.memory_writes = self.bytes_written = self.aborts = self.starts = 0
        self.closed = False
        self._position: int | None = None  # where the program under way ends
        self._error = Error.NONE

    def read(self, address: int) -> int:
        """Return a register."""
        return self.registers[NAMES[address]]

    def write(self, address: int, value: int) -> None:
        """Write a register, and do what it says."""
        name = NAMES[address]
        assert 0 <= value < 1 << 32
        assert REGISTERS[name].access != "ro", name
        self.register_writes.append((name, value))
        if name == "IRQ_STATUS":
            self.registers[name] &= ~value
        elif name == "CONTROL":
            self._control(value)
        else:
            self.registers[name] = value

    def read_memory(self, address: int, length: int) -> bytes:
        """Return bytes."""
        first = self.faults.read(address)
        return self.memory[first : first + length].tobytes()

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes."""
        if self.memory_writes == self.faults.lost_after_writes:
            self.faults.lost_after_writes = None
            raise BoardError("the connection is lost")
        self.memory_writes += 1
        self.bytes_written += len(data)
        first = self.faults.read(address)
        stored = self.faults.stored(address, np.frombuffer(data, np.uint8).copy())
        self.memory[first : first + len(data)] = stored

    def wait(self, seconds: float) -> bool:
        """Let a program that was started run, and say whether the interrupt has come."""
        if self.registers["STATUS"] & Status.BUSY and not self.faults.hangs:
            if self._position is None:
                self._run()
            if self.registers["POSITION"] == self._position:
                self._position = None
                self._end(self._error)
            elif self._position is not None:
                self.registers["POSITION"] += 1
        return not self.faults.lost_interrupt and bool(self.registers["IRQ_STATUS"])

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _control(self, value: int) -> None:
        busy = self.registers["STATUS"] & Status.BUSY
        if value & Control.ABORT:
            self.aborts += 1
            ending = self.registers["STATUS"] & Status.ENDING
            if busy and (self.faults.ignores_abort or (self.faults.owes_answers and not ending)):
                self.registers["STATUS"] |= Status.ENDING
            elif busy:
                self._end(Error.ABORTED)
        elif value & Control.START and not busy and not self.faults.lost_start:
            self.starts += 1
            self.registers["STATUS"] = Status.BUSY

    def _run(self) -> None:
        program = self.registers["PROGRAM_LOW"] | self.registers["PROGRAM_HIGH"] << 32
        registers = Registers(**{name.lower(): self.registers[name] for name in SETTINGS})
        if self.faults.slave_error is not None:
            address = self.faults.slave_error
            self.registers["FAULT_ADDRESS_LOW"] = address
            self.registers["FAULT_ID"] = FaultKind.READ.value << 8 | 2
            self._end(Error.READ_FAILED)
            return
        result = Cycle().execute(self.memory, program, self.params, registers)
        for name in COUNTERS:
            self._set_wide(name.upper(), result.counters[name] or 0)
        self._position, self._error = result.position, result.error
        self.registers["POSITION"] = 0 if self.faults.slow else result.position

    def _end(self, error: Error) -> None:
        failed = Status.ERROR if error is not Error.NONE else 0
        self.registers |= {"STATUS": Status.DONE | failed, "ERROR": error.value, "IRQ_STATUS": 1}

    def _set_wide(self, name: str, value: int) -> None:
        self.registers[f"{name}_LOW"] = value & 0xFFFF_FFFF
        self.registers[f"{name}_HIGH"] = value >> 32
