"""What can go wrong with a board, as sentences: what, where, what to do."""

from collections.abc import Mapping

from hw.contract.regs import Error

__all__ = ["ADVICE", "BoardError", "MemoryFault", "advice"]


class BoardError(Exception):
    """A board cannot do what it is asked for; the message is one sentence."""


class MemoryFault(BoardError):
    """A board's memory does not hold what was written to it; the message is one sentence."""


ADVICE: Mapping[str, str] = {
    "BAD_MAGIC": "there is no program at PROGRAM: load the compiled directory again",
    "BAD_FINGERPRINT": "the program is for other hardware: build it again for this one",
    "BAD_INSTRUCTION": "the program is damaged, or was overwritten: load it again",
    "READ_FAILED": "the memory refused a read: hold its size and the bridge's window against the "
    "program's memory_bytes",
    "WRITE_FAILED": "the memory refused a write: hold its size and the bridge's window against "
    "the program's memory_bytes",
    "BAD_TOKEN": "a token lies beyond the vocabulary: give a prompt of this model",
    "ABORTED": "the run was aborted: start it again",
    "WATCHDOG": "the memory gave no answer for as long as WATCHDOG says: look at the memory "
    "controller's clock, reset and training",
}
"""What to do about each error of `hw.contract.regs.Error`, by its name."""


def advice(error: Error) -> str:
    """Return what to do about an error of the hardware."""
    return ADVICE.get(error.name, "reset the board, and load the program again")
