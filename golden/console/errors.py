"""Errors that a user can do something about."""

import errno
import os
from pathlib import Path

__all__ = ["CheckpointError", "CheckpointNotFoundError", "ProfileError", "sentence_of"]

_ADVICE = {
    errno.ENOENT: "name one that is there or can be made",
    errno.ENOTDIR: "name a place in a directory, not in a file",
    errno.EEXIST: "name a place in a directory, not in a file",
    errno.EISDIR: "name a file, not a directory",
    errno.EACCES: "name a place that you may read and write",
    errno.EPERM: "name a place that you may read and write",
    errno.EROFS: "name a place that you may read and write",
    errno.ENOSPC: "make room, or name another place",
    errno.EFBIG: "raise the limit of a file's length, or name another place",
    errno.EPIPE: "let whatever reads it read to the end",
    errno.EDQUOT: "make room, or name another place",
}


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message is one sentence: what, where and what to do."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """A checkpoint, or a file that belongs to it, is not there."""


class ProfileError(ValueError):
    """A profile cannot be used; the message is one sentence: what, where and what to do."""


def sentence_of(error: OSError) -> str:
    """Return what the system says of a file as one sentence: what, where and what to do."""
    why = error.strerror or str(error)
    place = None if error.filename is None else _place(Path(str(error.filename)))
    if error.errno is None or why != os.strerror(error.errno):  # it says itself what to do
        return why if place is None else f"{place}: {why}"
    advice = _ADVICE.get(error.errno, "name another place")
    return f"{place or 'a file'} cannot be used ({why}): {advice}"


def _place(path: Path) -> Path:
    """Return where something was to go, of a file that would get its name once it is whole."""
    return path.parent if path.suffix in (".part", ".partial") else path
