"""Writes the registers as a C header, for drivers."""

from pathlib import Path

from hw.contract import regs
from hw.memory.port import READ_CLIENTS

__all__ = ["HEADER", "text", "write"]

HEADER = "spikeloom_regs.h"
"""The file's name."""


def _constants(about: str, values: dict[str, tuple[int, str]]) -> list[str]:
    width = max(map(len, values))
    lines = [f"/* {about} */"]
    for name, (value, doc) in values.items():
        comment = f"  /* {doc} */" if doc else ""
        lines.append(f"#define SPIKELOOM_{name:{width}} {value:#x}u{comment}")
    return [*lines, ""]


def _enumeration(about: str, prefix: str, values: dict[str, int]) -> list[str]:
    lines = [f"/* {about} */", f"enum spikeloom_{prefix.lower()} {{"]
    lines += [f"    SPIKELOOM_{prefix}_{name} = {value}," for name, value in values.items()]
    return [*lines, "};", ""]


def text() -> str:
    """Return the header: C99, nothing but constants."""
    offsets = {r.name: (r.offset, f"{r.access}: {r.doc}") for r in regs.REGISTERS.values()}
    bits = {
        f"{register}_{bit.name}": (bit.value, "")
        for register, flags in (("CONTROL", regs.Control), ("STATUS", regs.Status))
        for bit in flags
    }
    own = {
        "REGISTERS_BYTES": (1 << regs.ADDR_WIDTH, "of the register port's addresses"),
        "REGISTERS_VERSION": (regs.VERSION, "of register VERSION"),
        "COUNTERS": (len(regs.COUNTERS), "counters of 64 bits, from CYCLES_LOW on"),
        "IRQ_ENDED": (1, "in IRQ_ENABLE and IRQ_STATUS"),
    }
    lines = [
        "/* Registers of a Spikeloom accelerator: offsets in bytes, 32 bits each. */",
        "/* Generated from hw/contract/regs.py; the meaning is in docs/regs.md. */",
        "#ifndef SPIKELOOM_REGS_H",
        "#define SPIKELOOM_REGS_H",
        "",
        *_constants("The register map", own),
        *_constants("Offsets", offsets),
        *_constants("Bits", bits),
        *_enumeration("Register ERROR", "ERROR", {e.name: e.value for e in regs.Error}),
        *_enumeration(
            "Bits 9:8 of FAULT_ID", "FAULT", {kind.name: kind.value for kind in regs.FaultKind}
        ),
        *_enumeration(
            "Bits 7:0 of FAULT_ID, for a read",
            "CLIENT",
            {name.upper(): index for index, name in enumerate(READ_CLIENTS)},
        ),
        *_enumeration(
            "Counters, in the order of their registers",
            "COUNTER",
            {name.upper(): index for index, name in enumerate(regs.COUNTERS)},
        ),
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def write(directory: Path) -> Path:
    """Write the header into `directory`; return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / HEADER
    file.write_text(text())
    return file
