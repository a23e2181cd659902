"""A board: an accelerator and its memory, reached through a transport, as a device of `sim`."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.regs import COUNTERS, Control, Error, Status, offset
from sim.device import Device, OnToken, Registers, Result, memory_before, outputs_in
from spikeloom.board.errors import BoardError
from spikeloom.board.identity import Identity, identify
from spikeloom.board.load import load_regions
from spikeloom.board.lock import alone
from spikeloom.board.transport import Transport

__all__ = ["Board"]

_LOOK_SECONDS = 0.2
_REST_SECONDS, _PAUSE_SECONDS = 5.0, 0.001


class Board(Device):
    """An accelerator that is there; a context, in which no other process has it.

    Parameters
    ----------
    transport : Transport
        The way to it, open; whoever opened it closes it.
    patience : float
        Seconds without any progress after which a run is given up.
    watchdog : int
        For register WATCHDOG: cycles without a transfer after which the hardware ends a run.
    undisturbed : bool
        Whether what runs goes on: nothing is written as the context begins.
    say, progress : callable
        Told what is being done, and how many bytes of how many are.

    Attributes
    ----------
    identity : Identity
        What the board says it is.
    """

    name = "board"
    observes = False

    def __init__(
        self,
        transport: Transport,
        *,
        patience: float = 30.0,
        watchdog: int = 0,
        undisturbed: bool = False,
        say: Callable[[str], None] = lambda _doing: None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self.transport, self._patience, self._watchdog = transport, patience, watchdog
        self._undisturbed = undisturbed
        self._say, self._progress = say, progress
        self._cut_short: str | None = None

    def __enter__(self) -> Self:
        """Lock the board, ask it what it is, and end a run that somebody left behind."""
        with ExitStack() as stack:
            stack.enter_context(alone(self.transport.name))
            self.identity: Identity = identify(self.transport)
            if not self._undisturbed:
                self.rest()
            self._until_the_end = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unlock it."""
        self._until_the_end.close()

    def register(self, name: str) -> int:
        """Return a register by its name."""
        return self.transport.read(offset(name))

    def set_register(self, name: str, value: int) -> None:
        """Write a register by its name."""
        self.transport.write(offset(name), value)

    def wide(self, name: str) -> int:
        """Return a register of 64 bits; reading its low half latches the high one."""
        return self.register(f"{name}_LOW") | self.register(f"{name}_HIGH") << 32

    def counters(self) -> dict[str, int]:
        """Return all counters of the last run, or of the one under way, by name."""
        return {name: self.wide(name.upper()) for name in COUNTERS}

    def error(self) -> Error:
        """Return the hardware's error; raises BoardError where it is none that there is."""
        code = self.register("ERROR")
        try:
            return Error(code)
        except ValueError:
            raise BoardError(
                f"{self.transport.name}: register ERROR reads {code}, which no error has: check "
                "the base address of the registers, and the bitstream"
            ) from None

    def rest(self) -> None:
        """Bring the board to rest: what runs, or has been left running, is aborted.

        Answers that the memory still owes are awaited for a while, and then given up.

        Raises
        ------
        BoardError
            Where it does not come to rest.
        """
        if not self.register("STATUS") & Status.BUSY:
            return
        self.set_register("CONTROL", Control.ABORT)
        begin, given_up = time.monotonic(), False
        while (status := self.register("STATUS")) & Status.BUSY:
            waited = time.monotonic() - begin
            if waited > _REST_SECONDS / 2 and not given_up:
                self.set_register("CONTROL", Control.ABORT)
                given_up = True
            if waited > _REST_SECONDS:
                why = "its memory takes nothing" if status & Status.ENDING else "it stays busy"
                raise BoardError(
                    f"{self.transport.name} does not come to rest after an abort, since {why}: "
                    "reset the board, and load the program again"
                )
            time.sleep(_PAUSE_SECONDS)

    def abort_in_midst(self, program: int) -> Result:
        """Start a program and abort it at once; returns what the board says of that run."""
        self._start(program, None)
        self.rest()
        return self._found()

    def load(self, compiled: Compiled) -> None:
        """Load a compiled directory, each region read back; one that was cut short goes on.

        Raises
        ------
        ValueError
            Where it is for other hardware, or has no weights.
        BoardError
            Where the memory does not hold it, or the way to it is lost.
        """
        self.identity.require(compiled)
        if compiled.manifest["weights"] == "none":
            raise ValueError(f"{compiled.directory} is a plan without weights: build the model")
        self.rest()
        key = str(compiled.directory.resolve())
        resume, self._cut_short = self._cut_short == key, key
        load_regions(
            self.transport, compiled, resume=resume, say=self._say, progress=self._progress
        )
        self._cut_short = None

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Load and execute layers once; see `sim.device.Device.run`.

        Beyond the load only inputs and outputs are moved.
        """
        memory = memory_before(compiled, inputs)
        self.load(compiled)
        for region in (*compiled.inputs.values(), *compiled.outputs.values()):
            raw = compiled.view(memory, region.name).tobytes()
            self.transport.write_memory(region.address, raw)
        self._say("running")
        result = self.start_and_wait(compiled.program_address)
        for region in compiled.outputs.values():
            raw = self.transport.read_memory(region.address, region.bytes)
            compiled.view(memory, region.name)[:] = np.frombuffer(raw, np.uint8)
        return replace(result, outputs=outputs_in(compiled, memory))

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers | None = None,
        on_token: OnToken = lambda _position, _token: None,
    ) -> Result:
        """Execute a program out of a whole memory image; see `sim.device.Device.execute`.

        All of the image is written, and read back at the end; `on_token` is told at the end.
        """
        if (wanted := fingerprint(params)) != self.identity.fingerprint:
            raise BoardError(
                f"the program is for hardware {wanted}, and the board has "
                f"{self.identity.fingerprint}: load the other bitstream, or build it again"
            )
        self.rest()
        self.transport.write_memory(0, memory.tobytes())
        result = self.start_and_wait(program, registers)
        memory[:] = np.frombuffer(self.transport.read_memory(0, memory.size), np.uint8)
        if registers is not None:
            tokens = token_address(memory, program)
            words = memory[tokens:].view("<u4")
            for position in range(registers.first_position + 1, result.position + 2):
                on_token(position, int(words[position]))
        return result

    def start_and_wait(
        self,
        program: int,
        registers: Registers | None = None,
        look: Callable[[int], None] = lambda _position: None,
    ) -> Result:
        """Start the program whose header lies at an address, and wait for its end.

        Parameters
        ----------
        program : int
            The address.
        registers : Registers, optional
            What is set before.
        look : callable
            Told register POSITION now and then: tokens up to it are in memory.

        Returns
        -------
        Result
            Without outputs; with the hardware's error, if any.

        Raises
        ------
        BoardError
            Where it comes to no end.
        """
        self._start(program, registers)
        self._until_the_interrupt(look)
        return self._found()

    def _start(self, program: int, registers: Registers | None) -> None:
        self.rest()
        values = {"PROGRAM_LOW": program & 0xFFFF_FFFF, "PROGRAM_HIGH": program >> 32}
        if registers is not None:
            values |= {name.upper(): value for name, value in asdict(registers).items()}
        values |= {"WATCHDOG": self._watchdog, "IRQ_STATUS": 1, "IRQ_ENABLE": 1}
        for name, value in values.items():
            self.set_register(name, value)
        if self.register("IRQ_STATUS") & 1:
            raise BoardError(
                f"{self.transport.name}: IRQ_STATUS stays set although it was cleared: check the "
                "base address of the registers, and the bitstream"
            )
        self.set_register("CONTROL", Control.START)

    def _found(self) -> Result:
        status = self.register("STATUS")
        if status & Status.BUSY or not status & (Status.DONE | Status.ERROR):
            raise BoardError(
                f"{self.transport.name}: the program is at no end, since STATUS reads {status:#x}, "
                "neither done nor an error: check the base address of the registers, and the "
                "bitstream"
            )
        self.set_register("IRQ_STATUS", 1)
        return Result(
            counters=dict(self.counters()),
            error=self.error(),
            position=self.register("POSITION"),
        )

    def _until_the_interrupt(self, look: Callable[[int], None]) -> None:
        seen, since = None, time.monotonic()
        while not self.transport.wait(_LOOK_SECONDS):
            position = self.register("POSITION")
            look(position)
            if not self.register("STATUS") & Status.BUSY:
                if self.transport.wait(_LOOK_SECONDS):
                    return
                raise BoardError(self._without_interrupt())
            now = (position, self.wide("DRAM_BYTES_READ"), self.wide("ARRAY_CYCLES"))
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > self._patience:
                self.rest()
                raise BoardError(
                    f"no progress for {self._patience:g} s at position {position}, after "
                    f"{now[1]:,} bytes read: the run was aborted; look at the memory controller, "
                    "then start it again"
                )

    def _without_interrupt(self) -> str:
        name = self.transport.name
        if self.register("IRQ_STATUS") & 1:
            return (
                f"{name}: the program has ended, but its interrupt does not come: check the wire "
                "of irq and its number, or name a transport that polls"
            )
        return f"{name}: the program did not start: the write of CONTROL is lost on the way"


def token_address(memory: np.ndarray, program: int) -> int:
    """Return where the tokens of a whole model's program lie."""
    raw = memory[program + isa.HEADER.size // 8 :][: isa.SLOT_BYTES].tobytes()
    return isa.unpack(isa.INSTRUCTIONS[isa.Opcode.TOKEN], raw)["tokens"]
