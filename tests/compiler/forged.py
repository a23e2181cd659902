"""Manifests that say what cannot be, with a checksum that is right all the same."""

import json
from collections.abc import Iterator
from pathlib import Path

from compiler.artifact import manifest as manifests

VALUES = (None, True, -1, 0, 1.5, "", "x", [], [1], [[1, 2]], {}, {"a": 1}, 10**15)
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
    manifests.write(manifest, directory)
    whole = directory.parent / "manifest.json"
    if directory.name.startswith("device-") and whole.exists():
        about = json.loads(whole.read_text())
        digest = json.loads((directory / "manifest.json").read_text())["sha256"]
        about["shards"][int(directory.name.removeprefix("device-"))] = digest
        manifests.write(about, directory.parent)
