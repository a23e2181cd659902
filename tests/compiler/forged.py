"""Manifests that say what cannot be, with a checksum that is right all the same."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

from compiler.artifact import manifest as manifests

NUMBERS = (True, -1, 0, 1, 7, 1.5, 65537, 10**15, 2**62, 2**63, 2**64, -(2**63), math.inf, math.nan)
VALUES = (None, *NUMBERS, "", "x", "\ud800", [], [1], [8], [[1, 2]], {}, {"a": 1}, {"name": 3})
"""What an entry may be in place of what it was; MISSING stands for none."""
MISSING = object()


def places(entries: object, place: tuple = ()) -> Iterator[tuple]:
    """Yield where each entry of a manifest is; of a list's the first two."""
    if isinstance(entries, dict):
        keys = [*entries]
    else:
        keys = [*range(len(entries))][:2] if isinstance(entries, list) else []
    for key in keys:
        yield (*place, key)
        yield from places(entries[key], (*place, key))


def forge(directory: Path, place: tuple, value: object) -> None:
    """Put a value into a directory's manifest; where it is a device's, the whole's is told."""
    manifest = json.loads((directory / "manifest.json").read_text())
    entries = manifest
    for key in place[:-1]:
        entries = entries[key]
    if value is MISSING:
        del entries[place[-1]]
    else:
        entries[place[-1]] = value
    _write(manifest, directory)
    whole = directory.parent / "manifest.json"
    if directory.name.startswith("device-") and whole.exists():
        about = json.loads(whole.read_text())
        digest = json.loads((directory / "manifest.json").read_text())["sha256"]
        about["shards"][int(directory.name.removeprefix("device-"))] = digest
        manifests.write(about, directory.parent)


def _write(manifest: dict, directory: Path) -> None:
    """Write a manifest that may hold what `manifests.write` does not: numbers without end."""
    entries = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps({**entries, "sha256": digest}))
