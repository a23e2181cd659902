"""Writes an accelerator with all that an FPGA's flow takes: constraints, wrapper, core file."""

import os
import tempfile
from pathlib import Path

from hw.generate import catalogue, constraints
from hw.generate.choice import Choice
from hw.generate.emit import TOP, emit
from hw.generate.wrapper import WRAPPER, wrapper

__all__ = ["package"]


def package(choice: Choice, directory: Path) -> list[Path]:
    """Write the files of `hw.generate.emit.emit`, and those around them; return them all."""
    files = emit(choice.params, directory)
    verilog = files[0].read_text(encoding="utf-8")
    texts = {
        f"{WRAPPER}.v": wrapper(choice.params, verilog, TOP),
        f"{TOP}.sdc": constraints.sdc(choice),
        f"{TOP}.lpf": constraints.lpf(choice),
        f"{WRAPPER}.xdc": constraints.xdc(choice),
        f"{TOP}.core": catalogue.core(choice, TOP),
        "package_ip.tcl": catalogue.vivado(choice, TOP),
    }
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for name, text in texts.items():
            whole = Path(scratch) / name
            whole.write_text(text, encoding="utf-8")
            os.replace(whole, directory / name)
            files.append(directory / name)
    return files
