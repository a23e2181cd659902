"""The manifest: what a compiled directory says of itself (docs/compiled.md)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from compiler.passes.instruction import Instruction
from compiler.passes.lower import ALL_LAYERS, Stage
from compiler.passes.place import weight_bytes
from compiler.passes.program import Image
from compiler.passes.tile import tile
from compiler.storage.directory import MANIFEST, require_own, write_file
from golden.checkpoint.config import ModelConfig
from golden.recipe.adapter import adapter_entry
from golden.recipe.exponents import exponents_entry
from golden.recipe.fold_file import fold_entry
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["FORMAT", "about", "of_devices", "of_image", "read", "recipe_entry", "write"]

FORMAT = 3
"""Version of the manifest and of the files it describes."""


def about(
    config: ModelConfig,
    recipe: Recipe,
    coding: str | Mapping[str, str],
    weights: Mapping[str, object],
    layers: list[str] | None = None,
) -> dict[str, object]:
    """Return what is compiled: a model's layers, or all of it, with which weights and how."""
    return {
        "model": asdict(config),
        **weights,
        "layers": layers or [ALL_LAYERS],
        "recipe": recipe_entry(recipe),
        "coding": coding,
    }


def of_image(
    image: Image, contents: Mapping[str, Mapping[str, object]], what: Mapping[str, object]
) -> dict[str, object]:
    """Return the manifest of what one device's memory holds.

    Parameters
    ----------
    image : Image
        What it holds.
    contents : mapping of str to mapping
        By region that has contents, where they lie, and their checksums.
    what : mapping
        What is compiled (`about`).
    """
    program = image.program
    kind = "layers"
    of_kind: dict[str, object] = {}
    if image.model is not None:
        kind, of_kind["context"] = "model", image.model.context
    if image.model is not None and program.segments:
        kind = "shard"
        of_kind["shard"] = image.model.shard.as_dict(image.model.config)
        of_kind["segments"] = [
            {"name": segment.name, "offset": offset, "exchange": segment.exchange}
            for segment, offset in zip(program.segments, program.offsets(), strict=True)
        ]
    return {
        **_head(kind, what, image.params),
        **of_kind,
        "tokens": image.tokens,
        "memory_bytes": image.memory_bytes,
        "regions": {
            name: {**vars(region), **contents.get(name, {})}
            for name, region in image.regions.items()
        },
        "operations": _operations(image.stages, program.executed, image.params),
        "tensors": [
            {"name": step.tensor, "row": step.row} if step.tensor else None
            for step in program.instructions
        ],
    }


def of_devices(
    shares: list[str], context: int, params: HwParams, what: Mapping[str, object]
) -> dict[str, object]:
    """Return the manifest of a model for several devices: `shares` are its manifests' checksums."""
    return {
        **_head("devices", what, params),
        "context": context,
        "devices": len(shares),
        "shards": shares,
    }


def recipe_entry(recipe: Recipe) -> dict[str, object]:
    """Return every setting of a recipe as plain JSON values."""
    return {
        "name": recipe.name,
        "fold": fold_entry(recipe.fold),
        "adapter": adapter_entry(recipe.adapter),
        "exponents": exponents_entry(recipe.exponents),
        "default": vars(recipe.default),
        "sites": {site: vars(settings) for site, settings in recipe.sites.items()},
        "layer_sites": {
            f"layers.{layer}.{site}": vars(settings)
            for (layer, site), settings in recipe.layer_sites.items()
        },
    }


def write(manifest: Mapping[str, object], directory: Path) -> str:
    """Write the manifest with a checksum of itself, which is returned."""
    digest = _digest(manifest)
    whole = {**manifest, "sha256": digest}
    write_file(directory / MANIFEST, (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode())
    return digest


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
    manifest = _intact(text)
    if manifest is None:
        raise ValueError(f"{path} is damaged (its checksum differs): build the model again")
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} must be of format {FORMAT}, not {manifest.get('format')}: build the model "
            "again with this version"
        )
    from compiler.artifact.schema import contradiction  # pydantic takes its time

    if wrong := contradiction(manifest):
        raise ValueError(f"{path} cannot be used ({wrong}): build the model again")
    return manifest


def _intact(text: bytes) -> dict | None:
    """Return a manifest as it was written, or None."""
    try:
        manifest = json.loads(text, parse_constant=_no_number)
        return manifest if manifest["sha256"] == _digest(manifest) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _head(kind: str, what: Mapping[str, object], params: HwParams) -> dict[str, object]:
    return {
        "format": FORMAT,
        "kind": kind,
        **what,
        "params": params.as_dict(),
        "fingerprint": fingerprint(params),
    }


def _digest(manifest: Mapping[str, object]) -> str:
    """Return the SHA-256, in hex, of a manifest's entries without its own checksum."""
    entries = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _operations(
    stages: list[Stage], executed: Iterable[tuple[int, Instruction]], params: HwParams
) -> list[dict[str, object]]:
    """Return each ENCODE and MATMUL of the stages once, whatever its rounds.

    Their ``instructions`` are the slots of all rounds. A MATMUL's ``dense_cycles`` are the fewest
    cycles that it can take while no channel is silent: a word of weights a cycle from memory, a
    beat a cycle into the array.
    """
    rounds: dict[tuple[str, str | None], list[tuple[int, Instruction]]] = {}
    for slot, step in executed:
        if step.stage is not None:
            key = (step.stage.name, step.matrix.name if step.matrix else None)
            rounds.setdefault(key, []).append((slot, step))
    listed: list[dict[str, object]] = []
    for stage in stages:
        encodes = rounds[stage.name, None]
        listed.append(
            {
                "operation": "ENCODE",
                "site": stage.name,
                "channels": stage.channels,
                **vars(stage.site),
                "exponents": f"{stage.name}.exponents" if stage.exponents else None,
                "input": encodes[0][1].reads[0],
                "tensor": encodes[0][1].tensor,
                "instructions": [slot for slot, _ in encodes],
            }
        )
        for matrix in stage.matrices:
            tiles, width = tile(matrix, params), matrix.weight_width
            own = rounds[stage.name, matrix.name]
            slowest = sum(
                max(params.row_words(part.outputs, width), params.row_beats(part.outputs, width))
                for part in tiles
            )
            groups = matrix.groups
            scales = 0
            if groups is not None:
                scale_bytes = sum(part.scale_bytes for part in tiles)
                scales = matrix.channels // groups.size * scale_bytes // params.axi_bytes
            listed.append(
                {
                    "operation": "MATMUL",
                    "matrix": matrix.name,
                    "site": stage.name,
                    "channels": matrix.channels,
                    "outputs": matrix.outputs,
                    "first_row": matrix.first_row,
                    "weight_width": width,
                    "has_bias": matrix.has_bias,
                    "tiles": len(tiles),
                    "weight_bytes": weight_bytes(matrix, params),
                    "groups": None if groups is None else vars(groups),
                    "dense_cycles": (matrix.channels * slowest + scales) * len(own),
                    "weights": f"{matrix.name}.weights",
                    "channel_words": f"{matrix.name}.channel_words",
                    "output": own[0][1].writes[0],
                    "tensor": own[0][1].tensor,
                    "instructions": [slot for slot, _ in own],
                }
            )
    return listed
