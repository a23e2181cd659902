"""Errors of tools and of the simulated hardware."""

__all__ = ["HardwareFault", "ToolError"]


class ToolError(Exception):
    """A tool (Verilator, compiler, simulator) is missing or failed; the message says what to do."""


class HardwareFault(Exception):
    """The simulated hardware did what it must not; the message is one sentence."""
