"""Write a compiled directory as a whole or not at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compiler.storage.lock import locked

__all__ = [
    "MANIFEST",
    "PROGRAM",
    "REPORTS",
    "device_name",
    "is_contents",
    "refuse_foreign",
    "replacing",
    "require_own",
    "shard_name",
    "swap",
    "write_file",
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
_SHARD = re.compile(r"weights-\d{5}\.bin")
_FILE = re.compile(rf"{_NAMES}|{_SHARD.pattern}")
# What a kill left of reports that were once written into the finished directory.
_LEFT = re.compile(rf"\.({'|'.join(map(re.escape, REPORTS))})\.partial")
_DEVICE = re.compile(r"device-\d+")


def is_contents(name: object) -> bool:
    """Return whether a file of that name may hold regions' contents."""
    return name == PROGRAM or isinstance(name, str) and bool(_SHARD.fullmatch(name))


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
        A directory beside `target`, removed if the block raises; where the process is killed, by
        the next build of `target`.

    Raises
    ------
    ValueError
        Where `target` is something else, which is left alone, or another process is building it.
    OSError
        Where a file cannot be written, named by the place that it was to have.
    """
    target = target.absolute()
    refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target) as place:
        work, old = place / "new", place / "old"
        shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
        shutil.rmtree(old, ignore_errors=True)
        work.mkdir()
        try:
            yield work
            refuse_foreign(target)
            swap(work, target, old)
        except OSError as error:
            if error.filename is None or not Path(error.filename).is_relative_to(work):
                raise
            name = Path(error.filename).relative_to(work)  # `work` is gone when this is read
            raise OSError(error.errno, error.strerror, str(target / name)) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


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
    return bool(_FILE.fullmatch(entry.name) or _LEFT.fullmatch(entry.name))


def require_own(path: Path) -> None:
    """Raise ValueError where a file of a compiled directory is none; a pipe would wait."""
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "a pipe or a device"
        raise ValueError(
            f"{path} must be a regular file, not {kind}: remove it, and build the model again"
        )


def write_file(path: Path, contents: bytes) -> None:
    """Write a file; of an OSError, whatever raises it, the file is named."""
    try:
        path.write_bytes(contents)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
