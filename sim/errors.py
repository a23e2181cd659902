"""Errors of tools and of the simulated hardware."""

from pathlib import Path

__all__ = ["HardwareFault", "ToolError", "failure"]

_NOTE_LINES = 30


class ToolError(Exception):
    """A tool (Verilator, compiler, simulator) is missing or failed; the message says what to do."""


class HardwareFault(Exception):
    """The simulated hardware did what it must not; the message is one sentence."""


def failure(what: str, status: int, log: Path) -> ToolError:
    """Return the error of what ended with `status`; the end of its log is a note on it."""
    lines = log.read_text(errors="replace").splitlines()
    telling = [line.strip() for line in lines if "error" in line.lower()] or lines or ["no output"]
    error = ToolError(f"{what} failed with status {status}: {telling[0]}")
    error.add_note("\n".join(lines[-_NOTE_LINES:]))
    return error
