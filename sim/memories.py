"""What can be behind the accelerator's bus in simulation, by name."""

__all__ = ["IDEAL", "MEMORIES"]

IDEAL = "ideal"
"""The memory with a latency and a word a cycle."""
MEMORIES = (IDEAL, "litedram-ddr3")
"""The other is `hw.soc.memory.DDR3`, a DDR3 of 16 bits behind LiteDRAM's controller."""
