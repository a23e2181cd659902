"""The KV260: what Vivado, Linux and PYNQ there take. Nobody has run any of it."""

import os
import tempfile
from pathlib import Path
from string import Template

from hw.contract.fingerprint import fingerprint
from hw.generate.choice import Choice
from hw.generate.emit import TOP
from hw.generate.package import package
from hw.generate.text import comment, header
from hw.generate.wrapper import WRAPPER

__all__ = ["BLOCK", "MEMORY_BASE", "MEMORY_BYTES", "REGISTERS_BASE", "write"]

BLOCK = "spikeloom_zynq"
"""Name of the block in the block design."""
REGISTERS_BASE = 0xA000_0000
"""Byte address of the registers: the first of the window of M_AXI_HPM0_FPD (UG1085)."""
MEMORY_BASE = 0x4000_0000
"""Physical address of what the accelerator has at its address 0."""
MEMORY_BYTES = 0x3000_0000
"""Reserved there for it; it ends below the upper quarter of the 2 GiB, which firmware uses."""

_NEVER_RUN = "Never run: neither Vivado nor a KV260 was at hand."
_TEMPLATES = Path(__file__).parent / "templates"
_FILES = ("block_design.tcl", "overlay.py", "device_tree.dtsi", "README.md")
_MASTERS = ("M_AXI",)  # each takes a high-performance port of the processor's


def write(choice: Choice, directory: Path) -> list[Path]:
    """Write an accelerator's Verilog, and around it what puts it onto a KV260; return the files.

    Raises
    ------
    ValueError
        Where its addresses do not reach the memory that is reserved for it.
    """
    width, needed = choice.params.axi_addr_width, (MEMORY_BASE + MEMORY_BYTES - 1).bit_length()
    if width < needed:
        raise ValueError(
            f"axi_addr_width must be at least {needed} on the KV260, where the accelerator's "
            f"memory ends at {MEMORY_BASE + MEMORY_BYTES:#x}, not {width}"
        )
    files = package(choice, directory)
    words = {
        "fingerprint": fingerprint(choice.params),
        "part": choice.board.part if choice.board else "xck26-sfvc784-2LV-c",
        "top": TOP,
        "block": BLOCK,
        "clock": f"{choice.clock_mhz:g}",
        "port_width": str(max(32, min(128, choice.params.axi_data_width))),
        "masters": " ".join(_MASTERS),
        "registers": f"{REGISTERS_BASE:#x}",
        "registers_node": f"{REGISTERS_BASE:x}",
        "memory": f"{MEMORY_BASE:#x}",
        "memory_node": f"{MEMORY_BASE:x}",
        "memory_bytes": f"{MEMORY_BYTES:#x}",
        "megabytes": str(MEMORY_BYTES >> 20),
    }
    texts = {f"{BLOCK}.v": _block(choice, (directory / f"{WRAPPER}.v").read_text())}
    marks = {".tcl": "#", ".py": "#", ".dtsi": "//"}
    for name in _FILES:
        body = Template((_TEMPLATES / f"{name}.in").read_text()).substitute(words)
        mark = marks.get(Path(name).suffix)
        about = f"{name}: the accelerator on a KV260."
        head = comment([_NEVER_RUN, "", *header(choice.params, about)], mark) if mark else ""
        texts[name] = head + body
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for name, text in texts.items():
            whole = Path(scratch) / name
            whole.write_text(text)
            os.replace(whole, directory / name)
            files.append(directory / name)
    return files


def _block(choice: Choice, wrapper: str) -> str:
    """Return the wrapper with its memory elsewhere than at 0, where programs have it."""
    begin = wrapper.index(f"module {WRAPPER} (")
    body = wrapper[begin:].replace(
        f"module {WRAPPER} (",
        f"module {BLOCK} #(\n"
        f"    parameter [{choice.params.axi_addr_width - 1}:0] MEMORY_BASE = {MEMORY_BASE}\n) (",
    )
    wires = []
    for channel in ("aw", "ar"):
        port = f"m_axi_{channel}addr"
        assert body.count(f".{port}({port})") == 1, port
        body = body.replace(f".{port}({port})", f".{port}({channel}addr)")
        wires.append(f"    wire [{choice.params.axi_addr_width - 1}:0] {channel}addr;\n")
        wires.append(f"    assign {port} = {channel}addr + MEMORY_BASE;\n")
    body = body.replace(");\n    (* ASYNC_REG", f");\n{''.join(wires)}\n    (* ASYNC_REG", 1)
    about = f"{BLOCK}: {WRAPPER}, whose address 0 is MEMORY_BASE in the processor's memory."
    return comment([_NEVER_RUN, "", *header(choice.params, about)], "//") + "\n" + body
