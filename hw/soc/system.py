"""Writes the Verilog, the BIOS and the memory map of a board's system; a process of its own.

``python -m hw.soc.system REQUEST`` writes into the directory it is started in. LiteX moves about,
compiles the BIOS and names nets after the stack of whoever calls it: this way they are always the
same.
"""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hw.contract.params import HwParams
from hw.generate.emit import TOP, emit
from hw.soc.boards import board

__all__ = ["CONSTRAINTS", "DESCRIPTION", "MAPS", "NAME", "SOURCES", "BiosError", "plain", "write"]

NAME = "spikeloom_soc"
"""Of the top module and of most files."""
MAPS = ("csr.csv", "csr.json")
"""LiteX's memory map: regions, registers, constants."""
DESCRIPTION = f"{TOP}.json"
"""The accelerator's parameters and fingerprint, for who compiles a program for it."""
SOURCES = ("VexRiscv_Lite.v", f"{TOP}.v", f"{NAME}.v")
"""Verilog, in the order in which it is read."""
CONSTRAINTS = f"{NAME}.lpf"
"""Pins and clocks."""

# What LiteX dates, and signs with the commit of whatever repository it is started in.
_DATED = re.compile(r"^.*(?:Date       :|LiteX sha1 :|[Aa]uto-[Gg]enerated by LiteX).*\n", re.M)
# What LiteX draws of its modules, of a kind and a level in any order.
_HIERARCHY = re.compile(r"/\*\nSpikeloomSoC\n.*?\*/\n", re.S)
_INITIAL = ("rom", "sram", "mem")


class BiosError(RuntimeError):
    """The system cannot be written; the message is the last that LiteX says, and where it is."""


def write(
    key: str, params: HwParams, clock_mhz: float, baud: int, directory: Path, log: Path
) -> None:
    """Write the system of a board into `directory`, and what LiteX says into `log`.

    Raises
    ------
    BiosError
        Where LiteX or the BIOS' compiler fails.
    """
    request = {"board": key, "params": params.as_dict(), "clock_mhz": clock_mhz, "baud": baud}
    tools = Path(sys.executable).parent  # meson and ninja, and the python3 that knows LiteX
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(root),
        # The same bytes wherever and whenever: the BIOS would name the commit that LiteX lies in.
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "0",
        "GIT_DIR": os.devnull,
    }
    done = subprocess.run(
        [sys.executable, "-m", "hw.soc.system", json.dumps(request)],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log.write_text(done.stdout)
    if done.returncode:
        last = (done.stdout.splitlines() or ["nothing"])[-1]
        if "No PLL config found" in last:
            raise BiosError(f"the board's PLL makes no {clock_mhz:g} MHz: take another --clock")
        raise BiosError(f"LiteX failed ({done.returncode}), it says {last.strip()!r}: see {log}")


def _write(request: dict) -> None:
    from litex.soc.integration.builder import Builder
    from pythondata_cpu_vexriscv import data_location

    here = Path.cwd()
    params = HwParams.from_dict(request["params"])
    about = board(request["board"])
    soc = about.make(about, params, request["clock_mhz"], request["baud"])
    emit(params, here)
    shutil.copy(Path(data_location) / SOURCES[0], here)
    # The BIOS' makefiles take no blank in a path, and `here` may have some.
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        made = Path(scratch)
        builder = Builder(soc, output_dir=scratch, compile_gateware=False, bios_console="lite")
        builder.build(build_name=NAME)
        for name in MAPS:
            _copy(made / name, here)
        _copy(made / "gateware" / SOURCES[-1], here)
        _copy(made / "gateware" / CONSTRAINTS, here)
        for memory in _INITIAL:
            shutil.copy(made / "gateware" / f"{NAME}_{memory}.init", here)
        shutil.copy(made / "software" / "bios" / "bios.bin", here)


def plain(text: str) -> str:
    """Return what LiteX wrote without that which is another each time."""
    return _HIERARCHY.sub("", _DATED.sub("", text))


def _copy(file: Path, directory: Path) -> None:
    (directory / file.name).write_text(plain(file.read_text()))


if __name__ == "__main__":
    _write(json.loads(sys.argv[1]))
