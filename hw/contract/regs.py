"""Control and status registers of the AXI4-Lite port: one description for everyone."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.lib import enum

from hw.contract.params import HwParams

__all__ = [
    "ADDR_WIDTH",
    "CAPABILITIES",
    "COUNTERS",
    "Control",
    "Error",
    "FaultKind",
    "REGISTERS",
    "Register",
    "Status",
    "VERSION",
    "capabilities",
    "offset",
    "params_of",
]

ADDR_WIDTH = 9
"""Bits of the AXI4-Lite port's byte address."""

VERSION = 0x534C_0101
"""Register VERSION: "SL", then major and minor number, a byte each.

A new register or error code is a minor change. A driver serves hardware of its own major number.
"""


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
    ABORTED = 7
    WATCHDOG = 8


class Control(enum.IntFlag):
    """Bits of register CONTROL."""

    START = 1
    ABORT = 2


class Status(enum.IntFlag):
    """Bits of register STATUS."""

    BUSY = 1
    DONE = 2
    ERROR = 4
    ENDING = 8


class FaultKind(enum.Enum, shape=2):
    """What FAULT_ADDRESS is the address of."""

    NONE = 0
    READ = 1
    WRITE = 2
    INSTRUCTION = 3


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

CAPABILITIES = {
    "tokens": "rows of the array",
    "lanes": "columns of the array",
    "banks": "beats of a full output tile",
    "weight_widths": "bit w: weights of w bits are supported",
    "max_count": "largest spike count of a channel",
    "max_channels": "most input channels of a matrix",
    "axi_data_width": "bits of the memory port's data",
    "axi_addr_width": "bits of the memory port's addresses",
    "max_burst_words": "longest AXI burst, in words",
    "fetch_depth": "words of weights that may be under way or waiting",
    "event_depth": "events that may run ahead of the array",
    "scan_width": "channels that the event queue looks at in a cycle",
    "array": "0: spike, 1: mac",
    "skip_silent": "1: silent channels are skipped",
    "max_shift": "largest shift of a channel",
    "grouped": "1: weights may have scales for every group of channels",
}
"""The fields of `HwParams`, each in a register CAPABILITY_…, and what the register holds."""

_ARRAYS = ("spike", "mac")


def _registers() -> list[Register]:
    plain = [
        ("CONTROL", "wo", "bit 0: start the program at PROGRAM, ignored while busy; bit 1: abort"),
        ("STATUS", "ro", "bit 0: busy; bit 1: done; bit 2: error; bit 3: an end waits for memory"),
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
        ("VERSION", "ro", f'{VERSION:#010x}: "SL", major and minor number of this register map'),
        ("WATCHDOG", "rw", "cycles without a transfer on the memory bus that end a run; 0: off"),
        ("FAULT_ADDRESS_LOW", "ro", "byte address of the first fault since start, bits 31:0"),
        ("FAULT_ADDRESS_HIGH", "ro", "byte address of the first fault since start, bits 63:32"),
        ("FAULT_ID", "ro", "of that fault: bits 7:0: client, for a read; bits 9:8: kind"),
    ]
    named += [(f"CAPABILITY_{name.upper()}", "ro", doc) for name, doc in CAPABILITIES.items()]
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


def capabilities(params: HwParams) -> dict[str, int]:
    """Return what the registers CAPABILITY_… of an accelerator hold, by field of `HwParams`."""
    values = {name: getattr(params, name) for name in CAPABILITIES}
    values["weight_widths"] = sum(1 << width for width in params.weight_widths)
    values["array"] = _ARRAYS.index(params.array)
    return {name: int(value) for name, value in values.items()}


def params_of(values: Mapping[str, int]) -> HwParams:
    """Return the accelerator whose registers CAPABILITY_… hold `values`.

    Raises
    ------
    ValueError
        Where no accelerator has such registers.
    """
    choices: dict[str, object] = dict(values)
    widths = values["weight_widths"]
    choices["weight_widths"] = tuple(width for width in reversed(range(32)) if widths >> width & 1)
    if values["array"] >= len(_ARRAYS):
        raise ValueError(f"array must be 0 or 1, not {values['array']}")
    choices["array"] = _ARRAYS[values["array"]]
    for name in ("skip_silent", "grouped"):
        choices[name] = bool(values[name])
    return HwParams.from_dict(choices)
