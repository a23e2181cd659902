"""A whole model for several devices: each one's share, compiled beside the others'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.identity import identity
from compiler.artifact.program import Compiled, load
from compiler.models.origin import combined
from compiler.passes.coding import check_coding
from compiler.passes.constants import constants
from compiler.passes.emit import emit
from compiler.passes.model import WholeModel, lower, sharded
from compiler.passes.program import image_of_shard
from compiler.passes.quantize import FromCheckpoint
from compiler.passes.shard import shards
from compiler.programs.model import require_room, require_unchanged
from compiler.storage.directory import device_name
from compiler.storage.partial import resuming
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.model.prepare import Grids, grids, no_grid, prepare
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["CompiledDevices", "build_devices", "load_devices", "lower_devices"]

_GATHERED = ("x", "attention", "between", "act")
"""Vectors of which each device makes its part, and then has the whole."""


@dataclass(frozen=True, kw_only=True)
class CompiledDevices:
    """A whole model compiled for several devices, checked against its checksums.

    Attributes
    ----------
    directory : Path
        Where it lies.
    manifest : dict
        As written (docs/compiled.md).
    shards : list of Compiled
        Each device's own.
    """

    directory: Path
    manifest: dict
    shards: list[Compiled]


def lower_devices(
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    context: int | None,
    devices: int,
    grids: Grids = no_grid,
) -> list[WholeModel]:
    """Return what each device computes; raises ValueError as `lower` and `shards` do."""
    model = lower(config, recipe, params, context, grids)
    return [sharded(model, shard) for shard in shards(config, params, devices)]


def build_devices(
    checkpoint: Checkpoint,
    directory: str | Path,
    *,
    devices: int,
    params: HwParams,
    recipe: Recipe,
    coding: str = "csd",
    context: int | None = None,
    memory: int | None = None,
    weights: dict[str, object] | None = None,
    progress: Callable[[str], None] = lambda matrix: None,
) -> CompiledDevices:
    """Compile a whole model for several devices.

    Parameters
    ----------
    checkpoint, directory, params, recipe, coding, context, weights, progress
        As `compiler.programs.model.build_model` takes them.
    devices : int
        How many share the model.
    memory : int, optional
        Bytes of memory that each has; by default all that the hardware addresses.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    check_coding(coding)
    found = grids(checkpoint, recipe)
    models = lower_devices(checkpoint.config, recipe, params, context, devices, found)
    images = [image_of_shard(model, params, coding, memory) for model in models]
    prepared = prepare(checkpoint, recipe)
    what = manifests.about(prepared.config, recipe, coding, weights or {"weights": "real"})
    hardware, target = fingerprint(params), Path(directory)
    before = identity(
        checkpoint, **what, fingerprint=hardware, context=models[0].context, devices=devices
    )
    with resuming(target, before, progress) as (work, journal):
        filled = [region for image in images for region in image.filled()]
        require_room(target, work, sum(region.bytes for region in filled))
        shares = []
        for model, image in zip(models, images, strict=True):
            name = device_name(model.shard.device)
            (work / name).mkdir(exist_ok=True)
            contents, digests = emit(
                image,
                work / name,
                hardware,
                lambda matrix: FromCheckpoint(matrix, prepared, checkpoint),
                constants=constants(model, prepared, params),
                journal=journal.of(name),
                progress=lambda region, name=name: progress(f"{region} of {name}"),
            )
            own = dict(what) if weights else {**what, "checkpoint": combined(digests)}
            shares.append(manifests.write(manifests.of_image(image, contents, own), work / name))
        require_unchanged(checkpoint, before)
        manifests.write(manifests.of_devices(shares, models[0].context, params, what), work)
    return load_devices(directory, params, verify=False)


def load_devices(
    directory: str | Path, params: HwParams | None = None, *, verify: bool = True
) -> CompiledDevices:
    """Read what is compiled for several devices and verify all of it; parameters are `load`'s.

    Raises
    ------
    ValueError
        As `load` does, and where a device's share is not of this build.
    """
    directory = Path(directory)
    manifest = manifests.read(directory)
    if manifest["kind"] != "devices":
        raise ValueError(f"{directory} is compiled for one device: leave out --devices")
    found = []
    for device, digest in enumerate(manifest["shards"]):
        shard = load(directory / device_name(device), params, verify=verify)
        if shard.manifest["sha256"] != digest:
            raise ValueError(
                f"{shard.directory} is of another build than {directory}: build the model again"
            )
        if not shard.is_shard:
            raise ValueError(
                f"{shard.directory} holds no device's share of a model: build the model again"
            )
        found.append(shard)
    if wrong := _disagreement([shard.manifest for shard in found]):
        raise ValueError(f"{directory} cannot be used ({wrong}): build the model again")
    return CompiledDevices(directory=directory, manifest=manifest, shards=found)


def _disagreement(shares: Sequence[Mapping]) -> str | None:
    """Return, of the manifests of all devices, which is of another model's, in words, or None."""
    ends = dict.fromkeys(("kv_heads", *_GATHERED, "logits"), 0)
    for device, manifest in enumerate(shares):
        share = manifest["shard"]
        if (share["device"], share["devices"]) != (device, len(shares)):
            return f"device {device} is device {share['device']} of {share['devices']}"
        if _common(manifest) != _common(shares[0]):
            return f"device {device} has other programs or vectors than device 0"
        for name, end in ends.items():
            if share[name][0] != end:
                return f"{name} of device {device} must begin at {end}, not at {share[name][0]}"
            ends[name] = end + share[name][1]
    return None


def _common(manifest: Mapping) -> tuple:
    """Return what all devices' shares have in common."""
    exchanges = [(segment["name"], segment["exchange"]) for segment in manifest["segments"]]
    lengths = [manifest["regions"][name]["channels"] for name in _GATHERED]
    return manifest["context"], exchanges, lengths
