"""Stages of a build: each in a directory of its own, whole or not there, done again if need be."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

__all__ = ["digest", "stage"]

_INPUTS = "inputs.json"


def digest(files: Iterable[Path]) -> str:
    """Return a SHA-256 over names and contents of files."""
    summed = hashlib.sha256()
    for file in sorted(files):
        summed.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        summed.update(file.read_bytes())
    return summed.hexdigest()


def stage(
    directory: Path, inputs: Mapping[str, object], make: Callable[[Path], None]
) -> tuple[float, bool]:
    """Make what a directory holds, unless it holds, unchanged, what was made of the same inputs.

    Parameters
    ----------
    directory : Path
        Of this stage alone.
    inputs : mapping
        Of JSON values: all that the result depends on.
    make : callable
        Fills an empty directory, which becomes `directory` when it is complete.

    Returns
    -------
    (float, bool)
        The seconds that it took, now or then, and whether it was done now.
    """
    known = json.loads(json.dumps(inputs))  # lists for tuples, as in the file
    there = _record(directory)
    if there.get("inputs") == known and there.get("outputs") == _outputs(directory):
        return float(there.get("seconds", 0)), False
    directory.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        fresh = Path(scratch) / directory.name
        fresh.mkdir()
        make(fresh)
        seconds = round(time.perf_counter() - begin, 1)
        about = {"seconds": seconds, "inputs": known, "outputs": _outputs(fresh)}
        (fresh / _INPUTS).write_text(json.dumps(about, indent=2) + "\n")
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(fresh, directory)
    return seconds, True


def _outputs(directory: Path) -> str:
    """Return the digest of a stage's files, but for the record of how they came about."""
    return digest(file for file in directory.rglob("*") if file.is_file() and file.name != _INPUTS)


def _record(directory: Path) -> dict:
    try:
        record = json.loads((directory / _INPUTS).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
