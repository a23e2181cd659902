"""Runs Yosys in a process of its own: in one process its names would count on from run to run."""

import subprocess
import sys
from pathlib import Path

__all__ = ["YosysError", "run"]


class YosysError(RuntimeError):
    """Yosys fails; the message ends with the end of its log."""


_PROGRAM = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def run(commands: list[str], directory: Path) -> str:
    """Run `commands` one after the other on one design, in `directory`; return what Yosys logged.

    Raises
    ------
    YosysError
        Where a command fails, with the end of the log.
    """
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *commands],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        last = "\n".join((result.stdout + result.stderr).splitlines()[-10:])
        raise YosysError(f"Yosys failed ({result.returncode}):\n{last}")
    return result.stdout
