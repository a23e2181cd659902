"""What a board says it is: fingerprint, version of its registers, parameters."""

from dataclasses import dataclass

from compiler.artifact.program import Compiled
from hw.contract.params import HwParams
from hw.contract.regs import CAPABILITIES, VERSION, offset, params_of
from spikeloom.board.errors import BoardError
from spikeloom.board.transport import Transport

__all__ = ["Identity", "identify"]

_MAJOR = VERSION >> 8


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board is.

    Attributes
    ----------
    fingerprint : str
        Of its hardware, in hex.
    version : int
        Register VERSION.
    params : HwParams
        Of its hardware, as registers CAPABILITY_… say.
    """

    fingerprint: str
    version: int
    params: HwParams

    @property
    def release(self) -> str:
        """Major and minor number of the register map."""
        return f"{self.version >> 8 & 0xFF}.{self.version & 0xFF}"

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
        Where nothing answers, or something that this driver does not know.
    """
    version = transport.read(offset("VERSION"))
    if version >> 8 != _MAJOR:
        raise BoardError(
            f"{transport.name}: register VERSION reads {version:#010x}, not {VERSION:#010x}: check "
            "the bitstream and the base address of the registers, or use the driver of its version"
        )
    words = [transport.read(offset(f"ID{i}")) for i in range(8)]
    fingerprint = b"".join(word.to_bytes(4, "little") for word in words)[::-1].hex()
    says = {name: transport.read(offset(f"CAPABILITY_{name.upper()}")) for name in CAPABILITIES}
    try:
        params = params_of(says)
    except ValueError as error:
        raise BoardError(
            f"{transport.name}: registers CAPABILITY_… are of no accelerator ({error}): check the "
            "base address of the registers, and the bridge"
        ) from None
    return Identity(fingerprint=fingerprint, version=version, params=params)
