"""Control and status registers of the AXI4-Lite port: one description for everyone."""

from dataclasses import dataclass

from amaranth.lib import enum

__all__ = ["ADDR_WIDTH", "COUNTERS", "Error", "REGISTERS", "Register", "offset"]

ADDR_WIDTH = 8
"""Bits of the AXI4-Lite port's byte address."""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register: name, byte offset, access (``ro``, ``rw``, ``wo``, ``w1c``), meaning."""

    name: str
    offset: int
    access: str
    doc: str


class Error(enum.Enum, shape=4):
    """Sticky error codes of register ERROR; the first error of a run stands."""

    NONE = 0
    BAD_MAGIC = 1
    BAD_FINGERPRINT = 2
    BAD_INSTRUCTION = 3
    READ_FAILED = 4
    WRITE_FAILED = 5
    BAD_TOKEN = 6


COUNTERS = {
    "cycles": "cycles from start to done",
    "events": "firing channels, summed over MATMULs (each counted once, whatever its tiles)",
    "silent_channels": "silent channels, summed over MATMULs",
    "synaptic_operations": "additions of one weight into one accumulator that counts",
    "row_segments": "row segments fetched",
    "weight_bytes_read": "bytes read as weights",
    "dram_bytes_read": "bytes read in all",
    "dram_bytes_written": "bytes written in all",
    "read_bursts": "AXI read bursts",
    "array_cycles": "cycles in which the array added",
    "stall_cycles": "further cycles in which an event waited at the array for its weights",
    "encode_cycles": "further cycles in which a batch was being encoded",
    "vector_cycles": "further cycles in which the vector unit worked",
    "drain_cycles": "further cycles in which results were on their way to memory",
    "idle_cycles": "all other cycles",
}
"""64-bit counters, cleared by start, in the order of their registers.

The last six share out the cycles: they add up to `cycles`.
"""


def _registers() -> list[Register]:
    plain = [
        ("CONTROL", "wo", "bit 0: start the program at PROGRAM; ignored while busy"),
        ("STATUS", "ro", "bit 0: busy; bit 1: done; bit 2: error"),
        ("ERROR", "ro", "code of the first error since start (see the error table)"),
        ("IRQ_ENABLE", "rw", "bit 0: irq follows IRQ_STATUS"),
        ("IRQ_STATUS", "w1c", "bit 0: the program ended, well or not"),
        ("PROGRAM_LOW", "rw", "byte address of the program's header, bits 31:0"),
        ("PROGRAM_HIGH", "rw", "byte address of the program's header, bits 63:32"),
    ]
    named = [("ID%d" % i, "ro", f"fingerprint, bits {32 * i + 31}:{32 * i}") for i in range(8)]
    named += plain + [("POSITION", "ro", "position that is being worked on, or was last")]
    for name, doc in COUNTERS.items():
        named.append((f"{name.upper()}_LOW", "ro", f"{doc}; bits 31:0, latches bits 63:32"))
        named.append((f"{name.upper()}_HIGH", "ro", f"{doc}; bits 63:32 as latched"))
    named += [
        ("FIRST_POSITION", "rw", "position at which a program with TOKEN begins"),
        ("PROMPT_END", "rw", "positions below it have their tokens from the host"),
        ("END_POSITION", "rw", "position before which it ends"),
        ("STOP_TOKEN", "rw", "token after which it ends; one beyond the vocabulary: none"),
    ]
    return [
        Register(name=name, offset=4 * index, access=access, doc=doc)
        for index, (name, access, doc) in enumerate(named)
    ]


REGISTERS = {register.name: register for register in _registers()}
"""Every register by name, in the order of the offsets."""

assert max(r.offset for r in REGISTERS.values()) < 1 << ADDR_WIDTH


def offset(name: str) -> int:
    """Return the byte offset of the register called `name`."""
    return REGISTERS[name].offset
