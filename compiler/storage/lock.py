"""Locks between processes, and where a directory lies until it is complete: beside its place."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone", "locked", "partial_of"]


def partial_of(target: Path) -> Path:
    """Return where a directory lies until it is complete: beside it, hidden."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait for a lock file, and keep others out as long as the block, or the process, goes on.

    The file is made, and stays; who holds the lock may remove it.
    """
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock.fileno(), file):  # or whoever had it has removed it
                yield
                return


@contextmanager
def locked(target: Path) -> Iterator[Path]:
    """Make the directory beside `target` and lock it, at most as long as the process lives.

    It stays as the block leaves it, but goes where it is empty. A model that a kill between the two
    renames of a swap has left in it, as ``old``, is at `target` again.

    Yields
    ------
    Path
        `partial_of` the target.

    Raises
    ------
    ValueError
        Where another process has locked it.
    """
    place = partial_of(target)
    lock = _lock(place, target)
    try:
        if (place / "old").exists() and not target.exists():
            os.rename(place / "old", target)
        yield place
    finally:
        try:
            place.rmdir()
        except OSError:
            pass  # gone, or there is something left in it
        os.close(lock)


def _lock(place: Path, target: Path) -> int:
    """Make and lock a directory; returns its descriptor."""
    while True:
        place.mkdir(exist_ok=True)
        try:
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another build ended just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise ValueError(
                f"{target} is being built by another process: wait for it, or name another with -o"
            ) from None
        if _is_at(lock, place):
            return lock
        os.close(lock)


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to what was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
