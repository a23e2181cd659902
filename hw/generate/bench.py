"""Writes a self-checking bench in plain Verilog: a program, its memory, what must come of it."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hw.contract import regs
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.generate.text import comment, header
from hw.top import AXI_ID_WIDTH

__all__ = ["BENCH", "EXPECTED", "MEMORY", "Content", "write"]

BENCH, MEMORY, EXPECTED = "spikeloom_bench.v", "spikeloom_memory.hex", "spikeloom_expected.hex"
"""Names of the three files."""

_SOURCES = [Path(__file__).with_name(name) for name in ("bench.v", "bench_memory.v")]
_INCLUDE = '`include "spikeloom_bench.vh"\n'
_REGISTERS = ("ID0", "CONTROL", "STATUS", "ERROR", "IRQ_ENABLE", "IRQ_STATUS", "PROGRAM_LOW")
_REGISTERS += ("PROGRAM_HIGH", "CYCLES_LOW")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a bench runs.

    Attributes
    ----------
    params : HwParams
        The hardware.
    what : str
        What the program computes, and who says what must come of it.
    program : int
        Byte address of its header.
    memory : bytes
        Memory before the start.
    expected : iterable of (int, int)
        Byte addresses, multiples of 4, and the 32-bit words that must be there at the end.
    """

    params: HwParams
    what: str
    program: int
    memory: bytes
    expected: Iterable[tuple[int, int]]


def write(content: Content, directory: Path) -> list[Path]:
    """Write the bench, its memory and its expected words; return the files."""
    expected = list(content.expected)
    if not expected:
        raise ValueError("the program has no output to compare: name layers that have one")
    params = content.params
    memory = content.memory + bytes(-len(content.memory) % params.axi_bytes)
    words = [
        memory[at : at + params.axi_bytes][::-1].hex()
        for at in range(0, len(memory), params.axi_bytes)
    ]
    names = _parameters(content, len(words), len(expected))
    lines = "".join(f"    localparam {name} = {value};\n" for name, value in names.items())
    texts = {
        BENCH: "\n".join(
            [
                comment(header(params, f"{content.what}."), "//"),
                *(file.read_text(encoding="utf-8").replace(_INCLUDE, lines) for file in _SOURCES),
            ]
        ),
        MEMORY: f"// memory before the start, {params.axi_bytes} bytes a line\n" + _lines(words),
        EXPECTED: "// byte address _ word that must be there at the end\n"
        + _lines(f"{address:08x}_{word:08x}" for address, word in expected),
    }
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for name, text in texts.items():
            whole = Path(scratch) / name
            whole.write_text(text, encoding="utf-8")
            os.replace(whole, directory / name)
    return [directory / name for name in texts]


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _parameters(content: Content, memory_words: int, words: int) -> dict[str, str]:
    params = content.params
    numbers = {
        "DATA_WIDTH": params.axi_data_width,
        "ADDRESS_WIDTH": params.axi_addr_width,
        "ID_WIDTH": AXI_ID_WIDTH,
        "REGISTER_WIDTH": regs.ADDR_WIDTH,
        "MEMORY_WORDS": memory_words,
        "WORDS": words,
    }
    constants = {name: str(value) for name, value in numbers.items()}
    constants["[63:0] PROGRAM"] = f"64'h{content.program:x}"
    constants["[255:0] FINGERPRINT"] = f"256'h{fingerprint(params)}"
    for name in _REGISTERS:
        constants[f"[REGISTER_WIDTH-1:0] {name}"] = f"'h{regs.offset(name):02x}"
    return constants
