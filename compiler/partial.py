"""A compiled directory that takes long to write: what is done outlives an interruption."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compiler.directory import refuse_foreign, swap
from compiler.journal import Journal

__all__ = ["Interrupted", "partial_of", "resuming"]

_KEPT = "what is done is kept, and the same command goes on from there"


class Interrupted(KeyboardInterrupt):
    """A build was interrupted; the message is one sentence that says how it goes on."""


def partial_of(target: Path) -> Path:
    """Return where a directory lies until it is complete: beside it, hidden."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def resuming(
    target: Path, identity: dict, say: Callable[[str], None]
) -> Iterator[tuple[Path, Journal]]:
    """Give a directory to write to, which becomes `target` if the block ends well.

    Where the process is killed, interrupted or fails for want of room, what it wrote stays, with a
    journal, and is given again to the next build of the same identity; of another, it is removed.

    Parameters
    ----------
    target : Path
        Must not exist, or be a compiled directory, which stays as it is until the end.
    identity : dict
        All that the bytes written depend on, as JSON values.
    say : callable
        Told whether an earlier build is gone on with.

    Yields
    ------
    (Path, Journal)
        The directory, which may hold anything that the journal does not vouch for.

    Raises
    ------
    ValueError
        Where `target` is something else, or another process is building it.
    """
    target = target.absolute()
    refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = partial_of(target)
    lock = _lock(place, target)
    try:
        work, old = place / "model", place / "old"
        if old.exists() and not target.exists():  # killed between the two renames of a swap
            os.rename(old, target)
        journal = Journal(place / "journal", identity)
        if journal.differs:
            say(f"starting anew: the unfinished build differs in {', '.join(journal.differs)}")
        elif journal.entries:
            say("going on with an unfinished build")
        if not journal.entries:
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        work.mkdir(exist_ok=True)
        try:
            yield work, journal
            refuse_foreign(target)
            swap(work, target, old)
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted: {_KEPT}") from None
        except OSError as error:
            if isinstance(error, ValueError):
                raise
            raise OSError(error.errno, f"{error.strerror}; {_KEPT}", error.filename) from error
        _remove(place)
    except ValueError:
        _remove(place)
        raise
    finally:
        os.close(lock)


def _remove(place: Path) -> None:
    # The journal first: without it nothing that is left counts.
    (place / "journal").unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def _lock(place: Path, target: Path) -> int:
    """Make a directory and lock it, as long as the process lives; returns its descriptor."""
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
        try:
            if os.path.samestat(os.fstat(lock), os.stat(place)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)
