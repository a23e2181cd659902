"""A compiled directory that takes long to write: what is done outlives an interruption."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compiler.storage.directory import REPORTS, refuse_foreign, swap
from compiler.storage.journal import Journal
from compiler.storage.lock import locked, partial_of

__all__ = ["Interrupted", "partial_of", "resuming", "telling"]

_KEPT = "what is done is kept, and the same command goes on from there"


class Interrupted(KeyboardInterrupt):
    """A build was interrupted; the message is one sentence that says how it goes on."""


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
    with telling(target), locked(target) as place:
        try:
            work, journal = _begun(place, identity, say)
            yield work, journal
            refuse_foreign(target)
            swap(work, target, place / "old")
        except ValueError:
            _remove(place)
            raise
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; {_KEPT}", error.filename) from error
        _remove(place)


@contextmanager
def telling(target: Path) -> Iterator[None]:
    """Make an interrupt `Interrupted` where an unfinished build of `target` is there to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if not (partial_of(target.absolute()) / "journal").exists():
            raise
        raise Interrupted(f"interrupted: {_KEPT}") from None


def _begun(place: Path, identity: dict, say: Callable[[str], None]) -> tuple[Path, Journal]:
    """Return the directory to write to, with what the journal vouches for, and the journal."""
    work = place / "model"
    journal = Journal(place / "journal", identity)
    if journal.differs:
        say(f"starting anew: the unfinished build differs in {', '.join(journal.differs)}")
    elif journal.entries:
        say("going on with an unfinished build")
    if not journal.entries:
        shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(place / "old", ignore_errors=True)
    work.mkdir(exist_ok=True)
    for name in REPORTS:  # of the command before, which may have asked for others
        (work / name).unlink(missing_ok=True)
    return work, journal


def _remove(place: Path) -> None:
    # The journal first: without it nothing that is left counts.
    (place / "journal").unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
