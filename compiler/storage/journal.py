"""The journal of a build that may be interrupted: what it is a build of, and what of it is done."""

import json
import os
import threading
import zlib
from pathlib import Path
from typing import Protocol

__all__ = ["Entries", "Journal"]


class Entries(Protocol):
    """What of a build is done, by name, and a way to add to it; any thread may."""

    entries: dict[str, dict]

    def add(self, name: str, **entry: object) -> None:
        """Note that something is done."""
        ...


class Journal:
    """Entries that outlive the process that adds them; a line each, with a CRC-32 before it.

    Parameters
    ----------
    path : Path
        The file; made anew where it is of another build, or there is none.
    identity : dict
        What the build is of, as JSON values.

    Attributes
    ----------
    entries : dict of str to dict
        By name, as an earlier process added them.
    differs : list of str or None
        Keys of the identity in which the build that was found differs; None where none was found.
    """

    def __init__(self, path: Path, identity: dict) -> None:
        self._path, self._lock = path, threading.Lock()
        self.entries: dict[str, dict] = {}
        self.differs: list[str] | None = None
        identity = json.loads(json.dumps(identity))
        found = _intact_lines(path)
        if found:
            earlier, *entries = found
            keys = earlier.keys() | identity.keys()
            self.differs = sorted(k for k in keys if earlier.get(k) != identity.get(k))
            if not self.differs:
                self.entries = {entry["name"]: entry for entry in entries}
        # Whatever stood behind a line cut short is gone, so that no entry is added to it.
        new = path.with_suffix(".new")
        new.write_bytes(b"".join(map(_line, [identity, *self.entries.values()])))
        os.replace(new, path)

    def add(self, name: str, **entry: object) -> None:
        """Note that something is done; any thread may."""
        line = _line({"name": name, **entry})
        try:
            with self._lock, self._path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def of(self, name: str) -> Entries:
        """Return the entries of one directory among several that share the journal."""
        return _Prefixed(self, f"{name}/")


class _Prefixed:
    def __init__(self, journal: Journal, prefix: str) -> None:
        self._journal, self._prefix = journal, prefix
        self.entries = {
            name.removeprefix(prefix): entry
            for name, entry in journal.entries.items()
            if name.startswith(prefix)
        }

    def add(self, name: str, **entry: object) -> None:
        self._journal.add(f"{self._prefix}{name}", **entry)


def _line(values: dict) -> bytes:
    text = json.dumps(values).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _intact_lines(path: Path) -> list[dict]:
    """Return the lines up to the first that is not whole."""
    found = []
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return found
    for line in lines:
        crc, _, text = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(text):
            break
        found.append(json.loads(text))
    return found
