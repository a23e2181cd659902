"""Write a compiled directory as a whole or not at all."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "MANIFEST",
    "PROGRAM",
    "REPORTS",
    "device_name",
    "refuse_foreign",
    "replacing",
    "shard_name",
    "swap",
]

MANIFEST = "manifest.json"
PROGRAM = "program.bin"


def shard_name(index: int) -> str:
    """Return the file name of a shard of weights."""
    return f"weights-{index:05}.bin"


def device_name(device: int) -> str:
    """Return the name of one device's directory in that of several."""
    return f"device-{device}"


REPORTS = ("report.json", "report.html", "trace.json")
"""What a whole model's directory holds for people (`compiler.report`)."""

_NAMES = "|".join(map(re.escape, (MANIFEST, PROGRAM, *REPORTS)))
_FILE = re.compile(rf"{_NAMES}|weights-\d{{5}}\.bin")
_DEVICE = re.compile(r"device-\d+")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty directory to write to, which becomes `target` if the block ends well.

    Parameters
    ----------
    target : Path
        Must not exist, or be a compiled directory, which stays as it is until the end.

    Yields
    ------
    Path
        A directory beside `target`, removed if the block raises.

    Raises
    ------
    ValueError
        Where `target` is something else, which is left alone.
    """
    target = target.absolute()
    refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The kind of name that no glob for results matches, on the file system of the target.
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        work.chmod(0o777 & ~_umask())
        yield work
        refuse_foreign(target)
        swap(work, target, work.with_suffix(".old"))
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(work.with_suffix(".old"), ignore_errors=True)


def swap(work: Path, target: Path, old: Path) -> None:
    """Rename `work` to `target`; what was there, if anything, ends up as `old`."""
    if not target.exists():
        os.rename(work, target)
        return
    os.rename(target, old)
    try:
        os.rename(work, target)
    except BaseException:
        os.rename(old, target)
        raise


def refuse_foreign(target: Path) -> None:
    """Raise ValueError where `target` exists and is no compiled directory."""
    if target.is_symlink():
        raise ValueError(f"{target} must be a directory, not a link: name what it points to")
    if not target.exists():
        return
    if not target.is_dir():
        raise ValueError(f"{target} must be a directory, not a file: name another with -o")
    if not (target / MANIFEST).exists() or not all(map(_is_ours, target.iterdir())):
        raise ValueError(
            f"{target} exists and is no compiled model, so it is left alone: name another directory"
        )


def _is_ours(entry: Path) -> bool:
    if entry.is_dir() and not entry.is_symlink():
        return bool(_DEVICE.fullmatch(entry.name)) and all(map(_is_ours, entry.iterdir()))
    return bool(_FILE.fullmatch(entry.name))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
