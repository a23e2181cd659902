"""What a served simulator and its caller agree on: names, and the bus as its bridge shows it."""

__all__ = ["PORT_FILE", "REGISTERS_BASE", "SETTINGS"]

SETTINGS = "SPIKELOOM_BOARD"
"""Environment variable: arguments of `sim.rtl.bench.memory.configure`, as JSON."""

PORT_FILE = "port"
"""File beside the memory's image with the port that is listened at."""

REGISTERS_BASE = 0x8000_0000
"""Where the registers lie on the bus; the memory lies at 0."""
