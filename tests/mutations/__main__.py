"""Command line of the mutation check: ``python -m tests.mutations``.

Each mutation is put into a copy of the project, and the test that must see it is run there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.mutations.mutation import ROOT, Mutation
from tests.mutations.table import MUTATIONS

_LEFT_OUT = (".git", ".venv", "build", "__pycache__", ".hypothesis", ".*_cache")
_TIMEOUT_SECONDS = 900
_PASSED, _FAILED = 0, 1  # exit statuses of pytest; others say that it did not get to the tests
_ELABORATE = """
from amaranth.hdl import Fragment
from hw.contract.presets import preset
from hw.top import SpikeloomTop

Fragment.get(SpikeloomTop(preset("test")), None)
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations",
        description="Break the project on purpose, a fault at a time, and see a test fail.",
    )
    parser.add_argument(
        "--only", metavar="WORD", default="", help="those whose name or file has it"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the tests (default: 1)")
    parser.add_argument(
        "--jobs", type=int, choices=range(1, 65), default=2, metavar="N", help="tests at a time"
    )
    return parser


def _python(root: Path, *arguments: str) -> tuple[int | None, str]:
    """Run Python in the project at `root`; return its exit status (None: hangs) and output."""
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None, f"no end after {_TIMEOUT_SECONDS} s"
    return done.returncode, done.stdout + done.stderr


def _fault(mutation: Mutation | None, test: str, seed: int) -> str | None:
    """Return what is wrong with a mutation, or (without one) with a test by itself."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        root = Path(scratch) / ROOT.name
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        if mutation is not None:
            try:
                mutation.apply(root)
            except ValueError as error:
                return str(error)
            # A test fails of what is no hardware at all; that would prove nothing.
            status, output = _python(root, "-c", _ELABORATE)
            if status != 0:
                return f"it does not elaborate:\n{_end(output)}"
        options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", ""]
        status, output = _python(root, "-m", "pytest", *options, "--seed", str(seed), test)
    if status == (_PASSED if mutation is None else _FAILED):
        return None
    if mutation is not None and status == _PASSED:
        return f"it survives {test}"
    return f"{test} ended with status {status}:\n{_end(output)}"


def _end(output: str) -> str:
    return "\n".join(output.splitlines()[-15:])


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 if a test saw every mutation, else 1."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    chosen = [m for m in MUTATIONS if arguments.only in f"{m.name} {m.file}"]
    if not chosen:
        console.print(f"no mutation has {arguments.only!r} in its name or file")
        return 2
    # What fails by itself proves nothing about a mutation.
    runs = [(None, test) for test in dict.fromkeys(m.test for m in chosen)]
    runs += [(mutation, mutation.test) for mutation in chosen]
    faults = 0
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("mutations", total=len(runs))
        with ThreadPoolExecutor(arguments.jobs) as pool:
            waiting = [(run, pool.submit(_fault, *run, arguments.seed)) for run in runs]
            for (mutation, test), future in waiting:
                fault = future.result()
                progress.advance(bar)
                subject = f"{mutation.file}: {mutation.name}" if mutation else f"as it is: {test}"
                faults += fault is not None
                print(f"{'FAULT' if fault else 'ok':5}  {subject}", flush=True)
                if fault:
                    print(fault, flush=True)
    print(f"{len(chosen)} mutations, {faults} faults (seed {arguments.seed})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
