"""``python -m compiler build --devices N``, and ``verify`` of what it wrote."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.program import Compiled
from compiler.models.request import Request
from compiler.passes.lower import ALL_LAYERS
from compiler.programs.devices import CompiledDevices, build_devices
from golden.console.tables import print_lines, print_table
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams

__all__ = ["build", "is_for_devices", "require_options", "summarize"]


def require_options(options: argparse.Namespace) -> None:
    """Raise ValueError where something is asked for that several devices do not have."""
    if options.layers != ALL_LAYERS:
        raise ValueError(
            f"--devices must be left out: they share the whole model, not {options.layers}"
        )
    for name in ("tokens", "rows", "profile", "position", "board", "clock"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} must be left out: several devices do not have it yet")


def build(
    options: argparse.Namespace,
    wanted: Request,
    directory: Path,
    params: HwParams,
    recipe: Recipe,
    say: Callable[[str], None],
) -> CompiledDevices:
    """Compile what is asked for, for several devices; errors are `build_devices`'s."""
    if wanted.checkpoint is None:
        raise ValueError(
            "--devices must be left out of a plan without weights: give a --checkpoint or "
            "--weights synthetic"
        )
    return build_devices(
        wanted.checkpoint,
        directory,
        devices=options.devices,
        params=params,
        recipe=recipe,
        coding=options.coding or "csd",
        context=options.context,
        memory=options.memory,
        weights=wanted.entry,
        progress=say,
    )


def is_for_devices(directory: str | Path) -> bool:
    """Return whether a compiled directory is for several devices."""
    return manifests.read(Path(directory))["kind"] == "devices"


def summarize(compiled: CompiledDevices, as_json: bool, seconds: float) -> None:
    """Print what each device holds."""
    manifest, shards = compiled.manifest, compiled.shards
    if as_json:
        keys = ("devices", "layers", "coding", "fingerprint", "context", "weights")
        report = {
            "directory": str(compiled.directory),
            "model": manifest["model"]["name"],
            "recipe": manifest["recipe"]["name"],
            **{key: manifest[key] for key in keys},
            "shards": [_share(shard) for shard in shards],
            "seconds": round(seconds, 3),
        }
        print(json.dumps(report, indent=1))
        return
    print_table(
        ("device", "key heads", "bytes of memory", "of its image", "of its weights", "programs"),
        ([device, *_share(shard).values()] for device, shard in enumerate(shards)),
        title=f"{manifest['model']['name']} on {len(shards)} devices",
    )
    print_lines(
        f"{compiled.directory}: recipe {manifest['recipe']['name']}, {manifest['coding']}, "
        f"{manifest['context']:,} positions, {seconds:.1f} s",
        f"hardware {manifest['fingerprint']}",
    )


def _share(shard: Compiled) -> dict[str, int]:
    return {
        "kv_heads": len(shard.part("kv_heads")),
        "memory_bytes": shard.memory_bytes,
        "image_bytes": shard.image_bytes,
        "weight_bytes": shard.weight_bytes,
        "programs": len(shard.segments),
    }
