"""Runs Yosys in a process of its own: in one process its names would count on from run to run."""

import subprocess
import sys
from pathlib import Path

__all__ = ["DONT_CARE", "MARK_QUEUES", "YosysError", "run"]

MARK_QUEUES = "setattr -set no_rw_check 1 c:storage t:$mem_v2 %i"
"""What gives `hw.common.memories.NO_COLLISIONS` to the memories of Amaranth's queues too.

They are called so. A queue reads no place that it writes in that cycle (proof `queue`).
"""

DONT_CARE = (
    "proc",
    "memory_collect",
    MARK_QUEUES,
    "setparam -set RD_COLLISION_X_MASK 1'1 a:no_rw_check=1 t:$mem_v2 %i",
)
"""What applies `hw.common.memories.NO_COLLISIONS` to a design, before anything else is done."""


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
