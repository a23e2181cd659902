"""What a board says it is: fingerprint, and further registers that say what it can."""

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.artifact.program import Compiled
from hw.contract.regs import REGISTERS, offset
from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

__all__ = ["Identity", "identify"]

_TELLING = ("VERSION", "CAPABILITY")  # what registers of a kind are called, or begin with


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board is.

    Attributes
    ----------
    fingerprint : str
        Of its hardware, in hex.
    registers : mapping of str to int
        Those that say its version and what it can, by name.
    """

    fingerprint: str
    registers: Mapping[str, int]

    def require(self, compiled: Compiled) -> None:
        """Raise ValueError, in one sentence, where a program is for other hardware."""
        if compiled.fingerprint != self.fingerprint:
            raise ValueError(
                f"{compiled.directory} is compiled for hardware {compiled.fingerprint}, and the "
                f"board has {self.fingerprint}: load the other bitstream, or build it again"
            )


def identify(transport: Transport) -> Identity:
    """Ask a board what it is.

    Raises
    ------
    BoardError
        Where nothing answers, or something that is no accelerator.
    """
    words = [transport.read(offset(f"ID{i}")) for i in range(8)]
    if len(set(words)) == 1:
        raise BoardError(
            f"{transport.name}: the ID registers all read {words[0]:#010x}, so no accelerator is "
            "there: check the bitstream, and the base address of the registers"
        )
    fingerprint = b"".join(word.to_bytes(4, "little") for word in words)[::-1].hex()
    telling = [name for name in REGISTERS if name.startswith(_TELLING)]
    registers = {name: transport.read(offset(name)) for name in telling}
    return Identity(fingerprint=fingerprint, registers=registers)
