"""Runs Yosys in a process of its own: in one process its names would count on from run to run."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DONT_CARE", "MARK_QUEUES", "YosysError", "run", "synthesize_ecp5"]

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


_MAP_LUTS = (
    "techmap -map +/lattice/latches_map.v",
    "opt_clean -purge",
    "abc9 -W 300",
    "clean",
)

_CONFLICT = "multiple conflicting drivers"


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


def synthesize_ecp5(read: Sequence[str], top: str, write: str, directory: Path) -> str:
    """Synthesize for an ECP5; return what Yosys logged.

    Parameters
    ----------
    read : sequence of str
        Commands that read the design.
    top : str
        Its top module.
    write : str
        Command that writes what is wanted of the result.
    directory : Path
        Where Yosys runs.

    Raises
    ------
    YosysError
        Where it fails.
    """
    synth = f"synth_ecp5 -top {top}"
    try:
        log = run([*read, synth, "check", write], directory)
    except YosysError:
        log = _CONFLICT
    if _CONFLICT not in log:
        return log
    # Its mapper fails on some circuits, or joins two nets, unless those that no cell is named after
    # are gone.
    steps = (f"{synth} -run begin:map_luts", *_MAP_LUTS, f"{synth} -run map_cells:")
    log = run([*read, *steps, "check", write], directory)
    if _CONFLICT in log:
        raise YosysError(f"Yosys made a net with two drivers of {top}")
    return log
