"""Whether a compiled directory's files hold what its manifest says: every byte, and no more."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compiler.artifact.damage import where
from compiler.passes.place import Region
from compiler.storage.checksums import chunks
from compiler.storage.directory import require_own
from compiler.storage.parallel import cores
from hw.contract.params import HwParams

__all__ = ["require_intact"]


def require_intact(
    directory: Path, manifest: Mapping, regions: Mapping[str, Region], params: HwParams
) -> None:
    """Hold the files against the checksums; the first damage is told.

    Parameters
    ----------
    directory : Path
        Where they lie.
    manifest : mapping
        Its manifest.
    regions : mapping of str to Region
        Those of the manifest, by name.
    params : HwParams
        The hardware.

    Raises
    ------
    ValueError
        In one sentence, where a file is missing, truncated, damaged or too long.
    """
    contents = {name: entry for name, entry in manifest["regions"].items() if "file" in entry}
    matrices = {step["weights"]: step for step in manifest["operations"] if "matrix" in step}

    def check(name: str) -> str | None:
        path = directory / contents[name]["file"]
        return _damage(path, regions[name], contents[name], matrices.get(name), params)

    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for sentence in pool.map(check, contents):
            if sentence:
                pool.shutdown(cancel_futures=True)
                raise ValueError(sentence)
    _require_lengths(directory, contents, regions)


def _require_lengths(
    directory: Path, contents: Mapping[str, dict], regions: Mapping[str, Region]
) -> None:
    ends: dict[str, int] = {}
    for name, entry in contents.items():
        end = entry["offset"] + regions[name].bytes
        ends[entry["file"]] = max(end, ends.get(entry["file"], 0))
    for file, end in ends.items():
        path = directory / file
        if extra := path.stat().st_size - end:
            raise ValueError(
                f"{path} goes on {extra:,} bytes after its last region: build the model again"
            )


def _damage(
    path: Path, region: Region, contents: dict, operation: dict | None, params: HwParams
) -> str | None:
    """Return a sentence on what is wrong with a region's contents, if anything is."""
    digest, left = hashlib.sha256(), region.bytes
    try:
        require_own(path)
        for chunk in chunks(path, contents["offset"], region.bytes):
            digest.update(chunk)
            left -= len(chunk)
    except FileNotFoundError:
        return f"{path} is missing: build the model again"
    if left:
        return f"{path} ends {left:,} bytes before region {region.name} does: build the model again"
    if digest.hexdigest() != contents["sha256"]:
        place = where(path, region, contents, operation, params)
        return f"{path} is damaged in region {region.name} ({place}): build the model again"
    return None
