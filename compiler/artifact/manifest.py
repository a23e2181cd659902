"""The manifest: what a compiled directory says of itself (docs/compiled.md)."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from compiler.artifact.entries import contradiction
from compiler.passes.lower import Stage
from compiler.passes.place import weight_bytes
from compiler.passes.schedule import Instruction
from compiler.passes.tile import tile
from compiler.storage.directory import MANIFEST, require_own, write_file
from hw.contract.params import HwParams

__all__ = ["FORMAT", "operations", "read", "write"]

FORMAT = 3
"""Version of the manifest and of the files it describes."""


def operations(
    stages: list[Stage], instructions: Iterable[tuple[int, Instruction]], params: HwParams
) -> list[dict[str, object]]:
    """Return what is computed, for the manifest: each ENCODE and MATMUL once, whatever its rounds.

    `instructions` come with their indices in the program; ``instructions`` of an operation are
    those of its rounds. A MATMUL's
    ``dense_cycles`` are the fewest cycles that it can take while no channel is silent: a word of
    weights a cycle from memory, a beat a cycle into the array.
    """
    rounds: dict[tuple[str, str | None], list[tuple[int, Instruction]]] = {}
    for index, step in instructions:
        if step.stage is not None:
            key = (step.stage.name, step.matrix.name if step.matrix else None)
            rounds.setdefault(key, []).append((index, step))
    listed = []
    for stage in stages:
        encodes = rounds[stage.name, None]
        listed.append(
            {
                "operation": "ENCODE",
                "site": stage.name,
                "channels": stage.channels,
                **vars(stage.site),
                "input": encodes[0][1].reads[0],
                "instructions": [index for index, _ in encodes],
            }
        )
        for matrix in stage.matrices:
            tiles = tile(matrix, params)
            width = matrix.weight_width
            own = rounds[stage.name, matrix.name]
            slowest = sum(
                max(params.row_words(part.outputs, width), params.row_beats(part.outputs, width))
                for part in tiles
            )
            listed.append(
                {
                    "operation": "MATMUL",
                    "matrix": matrix.name,
                    "site": stage.name,
                    "channels": matrix.channels,
                    "outputs": matrix.outputs,
                    "first_row": matrix.first_row,
                    "weight_width": matrix.weight_width,
                    "has_bias": matrix.has_bias,
                    "tiles": len(tiles),
                    "weight_bytes": weight_bytes(matrix, params),
                    "dense_cycles": matrix.channels * slowest * len(own),
                    "weights": f"{matrix.name}.weights",
                    "channel_words": f"{matrix.name}.channel_words",
                    "output": own[0][1].writes[0],
                    "instructions": [index for index, _ in own],
                }
            )
    return listed


def write(manifest: dict[str, object], directory: Path) -> None:
    """Write the manifest with a checksum of itself."""
    whole = {**manifest, "sha256": _digest(manifest)}
    write_file(directory / MANIFEST, (json.dumps(whole, indent=1) + "\n").encode())


def _digest(manifest: dict[str, object]) -> str:
    """Return the SHA-256, in hex, of a manifest's entries without its own checksum."""
    entries = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(directory: Path) -> dict:
    """Return a directory's manifest.

    Raises
    ------
    ValueError
        Where there is none, it is damaged, it is of another format, or an entry cannot be.
    """
    path = directory / MANIFEST
    require_own(path)
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{directory} is no compiled model (it has no {MANIFEST}): make one with "
            "python -m compiler build"
        ) from None
    try:
        manifest = json.loads(text)
        intact = manifest["sha256"] == _digest(manifest)
    except (ValueError, TypeError, KeyError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(f"{path} is damaged (its checksum differs): build the model again")
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} must be of format {FORMAT}, not {manifest.get('format')}: build the model "
            "again with this version"
        )
    if wrong := contradiction(manifest):
        raise ValueError(f"{path} cannot be used ({wrong}): build the model again")
    return manifest
