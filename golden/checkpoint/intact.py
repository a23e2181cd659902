"""Whether a file is the one expected, found out once and remembered beside it."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

__all__ = ["is_intact", "sha256_of"]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _stamp_of(path: Path, sha256: str) -> dict[str, int | str]:
    stat = path.stat()
    return {"sha256": sha256, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _stamp(path: Path, sha256: str) -> None:
    """Note that a file was found intact, so that the next run need not read all of it."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(_stamp_of(path, sha256), file)
        os.replace(file.name, _stamp_path(path))
    except OSError:
        pass  # a cache that cannot be written to is verified anew each time


def is_intact(path: Path, sha256: str) -> bool:
    """Return whether a file has a SHA-256.

    A file that had it is marked by its length and time of change, so that it is not read again
    until one of them differs.
    """
    try:
        if json.loads(_stamp_path(path).read_text()) == _stamp_of(path, sha256):
            return True
    except (OSError, ValueError):
        pass  # no stamp that can be read: look at the file itself
    if sha256_of(path) != sha256:
        return False
    _stamp(path, sha256)
    return True
