"""Runs kept in files: a device's record, or a board's memory by region."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.program import Compiled
from golden.console.archive import read_archive
from sim.diverge.record import Record

__all__ = ["Saved", "load", "save"]

_ABOUT = "about"


class Saved:
    """What a file holds: a record, or memory of which some bytes are known."""

    def __init__(self, record: Record | None, memory: np.ndarray, known: np.ndarray) -> None:
        self.record, self.memory, self.known = record, memory, known


def save(record: Record, about: dict[str, Any], path: Path) -> None:
    """Write a record, whole or not at all."""
    counts = {} if record.counts is None else dict(enumerate(record.counts))
    said = {"end": record.end, "batches": len(counts), "sha256": _digest(record)}
    work = path.with_suffix(".part")
    with work.open("wb") as file:
        np.savez_compressed(
            file,
            about=np.array(json.dumps({**about, **said})),
            addresses=record.addresses,
            values=record.values,
            **{f"counts{number}": n for number, n in counts.items()},  # pyright: ignore[reportArgumentType] - numpy takes any name
        )
    work.rename(path)


def load(path: Path, compiled: Compiled, about: dict[str, Any]) -> Saved:
    """Read what `save` wrote, a memory image, or an npz file of memory by region.

    Raises
    ------
    ValueError
        Where it is none of that, or of another program or prompt.
    """
    if not zipfile.is_zipfile(path):
        return Saved(None, *_image(path, compiled))
    try:
        arrays = read_archive(path)
    except (ValueError, OSError):
        raise ValueError(f"{path} is damaged: save it again") from None
    if _ABOUT not in arrays:
        return Saved(None, *_regions(path, arrays, compiled))
    try:
        written = json.loads(str(arrays[_ABOUT]))
        batches, end = written.pop("batches"), written.pop("end")
        counts = [arrays[f"counts{number}"] for number in range(batches)]
        record = Record(
            addresses=arrays["addresses"], values=arrays["values"], counts=counts, end=end
        )
        if not _is_whole(record, compiled) or written.pop("sha256", _digest(record)) != _digest(
            record
        ):
            raise ValueError
    except (KeyError, ValueError, AttributeError, TypeError):
        raise ValueError(f"{path} holds no run of sim diverge: save it again") from None
    for name, value in about.items():
        if written.get(name) != value:
            raise ValueError(
                f"{path} is a run of another {name}: compare runs of the same program, prompt and "
                "number of tokens"
            )
    nothing = np.zeros(0, np.uint8)
    return Saved(record, nothing, nothing.astype(bool))


def _is_whole(record: Record, compiled: Compiled) -> bool:
    """Return whether a record has the types and shapes of one, and writes to this memory only."""
    addresses, values, counts = record.addresses, record.values, record.counts or ()
    return (
        (addresses.dtype, values.dtype) == (np.int64, np.uint8)
        and addresses.ndim == 1
        and addresses.shape == values.shape
        and bool(np.all((addresses >= 0) & (addresses < compiled.memory_bytes)))
        and all(batch.dtype in (np.int8, np.int16) and batch.ndim == 2 for batch in counts)
        and isinstance(record.end, str)
    )


def _digest(record: Record) -> str:
    """Return the SHA-256, in hex, of what a device wrote and counted."""
    arrays: Sequence[np.ndarray] = (record.addresses, record.values, *(record.counts or ()))
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _image(path: Path, compiled: Compiled) -> tuple[np.ndarray, np.ndarray]:
    if (size := path.stat().st_size) != compiled.memory_bytes:
        raise ValueError(
            f"{path} must be an npz file, or an image of all {compiled.memory_bytes:,} bytes of "
            f"memory, not of {size:,}"
        )
    memory = np.fromfile(path, np.uint8)
    return memory, np.ones(memory.size, bool)


def _regions(
    path: Path, arrays: dict[str, np.ndarray], compiled: Compiled
) -> tuple[np.ndarray, np.ndarray]:
    memory = np.zeros(compiled.memory_bytes, np.uint8)
    known = np.zeros(memory.size, bool)
    for name, array in arrays.items():
        if (region := compiled.regions.get(name)) is None:
            raise ValueError(
                f"{path} holds {name!r}, which is no region of {compiled.directory}: name its "
                "arrays as the regions of the manifest"
            )
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if raw.size != region.bytes:
            raise ValueError(
                f"{path}: region {name} must have {region.bytes:,} bytes, not {raw.size:,}"
            )
        part = slice(region.address, region.address + region.bytes)
        memory[part], known[part] = raw, True
    return memory, known
