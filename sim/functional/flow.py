"""The way through a program: header, loops, records, positions and tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Opcode
from hw.contract.params import HwParams
from hw.contract.regs import Error
from sim.device import Registers
from sim.functional.decode import decode
from sim.functional.image import Fault, Image

__all__ = ["Flow"]

_NOT_IN_LAYERS = (Opcode.TOKEN, Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS)
_LAYERED = 1 << isa.INSTRUCTIONS[Opcode.END]["layered"].offset


@dataclass
class _Loop:
    """A LAYERS that is under way: slots from `first` to before `end`, and what is left of it."""

    first: int
    end: int
    left: int
    records: int
    records_left: int


class Flow:
    """Walks a program; what changes nothing but the way is executed here.

    Parameters
    ----------
    image : Image
        Memory.
    program : int
        Byte address of the program's header.
    params : HwParams
        The hardware.
    registers : Registers
        What the host has set.

    Attributes
    ----------
    position, token : int
        That are being worked on.
    modifiers : dict of str to int
        Of the instruction that was yielded last, as they took effect.
    ends : bool
        Whether the program ends with that instruction.
    jumped : bool
        Whether not all slots came one after the other. Hardware has then read slots ahead that it
        did not need, how many depends on time.
    """

    def __init__(self, image: Image, program: int, params: HwParams, registers: Registers) -> None:
        self._image, self._program, self._params = image, program, params
        self._registers = registers
        self.position, self.token = registers.first_position, 0
        self.jumped = self.ends = False
        self.modifiers = dict.fromkeys(isa.MODIFIERS, 0)
        self._loop: _Loop | None = None

    def instructions(self) -> Iterator[tuple[int, Opcode, dict[str, int]]]:
        """Yield the slot, opcode and fields of each instruction, up to the program's last.

        Those of the way itself have been executed.

        Raises
        ------
        Fault
            Where the program cannot go on.
        """
        slots, header_bytes = self._header(), isa.HEADER.size // 8
        at = 0
        while at < slots:
            slot = self._image.read(
                self._program + header_bytes + at * isa.SLOT_BYTES, isa.SLOT_BYTES
            ).tobytes()
            whole = self._with_record(slot)
            opcode, fields = decode(whole, self._params, self.position)
            following = next_slot = at + 1
            self.ends = opcode is Opcode.END
            if opcode in _NOT_IN_LAYERS:
                if self._loop is not None:
                    raise Fault(Error.BAD_INSTRUCTION)
                self.ends = opcode is Opcode.TOKEN and self._ends(**fields)
                following = self._moved(opcode, following, slots, fields)
            self.modifiers = _modifiers(whole) | {"layered": _modifiers(slot)["layered"]}
            yield at, opcode, fields
            if self.ends:
                return
            at = self._after(following)
            self.jumped |= at != next_slot
        raise Fault(Error.BAD_INSTRUCTION)  # a program ends with END

    def _header(self) -> int:
        """Check the header; returns the slots that follow it."""
        raw = self._image.read(self._program, isa.HEADER.size // 8).tobytes()
        header = isa.unpack(isa.HEADER, raw)
        if header["magic"] != isa.MAGIC:
            raise Fault(Error.BAD_MAGIC)
        if header["fingerprint"] != int(fingerprint(self._params), 16):
            raise Fault(Error.BAD_FINGERPRINT)
        return header["slots"]

    def _with_record(self, slot: bytes) -> bytes:
        """Combine a layered slot with the next record."""
        word, loop = int.from_bytes(slot, "little"), self._loop
        if not word & _LAYERED:
            return slot
        if loop is None or not loop.records_left:
            raise Fault(Error.BAD_INSTRUCTION)
        record = self._image.read(loop.records, isa.SLOT_BYTES).tobytes()
        loop.records += isa.SLOT_BYTES
        loop.records_left -= 1
        return (word ^ int.from_bytes(record, "little")).to_bytes(isa.SLOT_BYTES, "little")

    def _moved(self, opcode: Opcode, following: int, slots: int, fields: dict[str, int]) -> int:
        """Return the slot after a control instruction that stands before slot `following`."""
        ahead = following + fields.get("slots", 0)
        if opcode is Opcode.NEXT:
            self.position += 1
            if (following := following - 1 - fields["slots"]) < 0:
                raise Fault(Error.BAD_INSTRUCTION)
        elif ahead > slots:
            raise Fault(Error.BAD_INSTRUCTION)
        elif opcode is Opcode.LAYERS:
            self._loop = _Loop(
                following, ahead, fields["layers"], fields["records"], fields["record_count"]
            )
        elif opcode is Opcode.PREFILL and self.position + 1 < self._registers.prompt_end:
            return ahead
        return following

    def _after(self, at: int) -> int:
        """Return the slot to go on with, `at` unless a loop goes back from there."""
        loop = self._loop
        if loop is None or at != loop.end:
            return at
        loop.left -= 1
        if loop.left:
            return loop.first
        if loop.records_left:
            raise Fault(Error.BAD_INSTRUCTION)
        self._loop = None
        return at

    def _ends(self, *, tokens: int, vocabulary: int, **_: int) -> bool:
        """Take the position's token; returns whether the program ends instead."""
        host = self._registers
        if self.position == host.end_position:
            return True
        self.token = int(self._image.read(tokens + 4 * self.position, 4).view("<u4")[0])
        if self.token >= vocabulary:
            raise Fault(Error.BAD_TOKEN)
        return self.position >= host.prompt_end and self.token == host.stop_token


def _modifiers(slot: bytes) -> dict[str, int]:
    first = int.from_bytes(slot[:2], "little")
    layout = isa.INSTRUCTIONS[Opcode.END]
    return {name: first >> layout[name].offset & 1 for name in isa.MODIFIERS}
