"""Errors that end a command with one sentence."""

__all__ = ["ToolError"]


class ToolError(Exception):
    """A tool (Verilator, compiler, simulator) is missing or failed; the message says what to do."""
