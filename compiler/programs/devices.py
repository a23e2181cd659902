"""A whole model for several devices: each one's share, compiled beside the others'."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.device_entries import disagreement
from compiler.artifact.identity import identity
from compiler.artifact.origin import combined
from compiler.artifact.program import Compiled, load
from compiler.passes.emit import Shards, emit_programs
from compiler.passes.place import Region
from compiler.passes.stream import emit, with_contents
from compiler.programs.layers import check_coding, recipe_entry
from compiler.programs.lower import WholeModel, lower, sharded
from compiler.programs.model import ALL_LAYERS, require_room
from compiler.programs.place import place
from compiler.programs.schedule import Segment, segments
from compiler.programs.shard import shards
from compiler.storage.directory import device_name
from compiler.storage.journal import Journal
from compiler.storage.partial import resuming
from golden.checkpoint.checkpoint import Checkpoint
from golden.model.prepare import prepare
from golden.recipe.recipe import Recipe
from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Coding
from hw.contract.params import HwParams

__all__ = ["CompiledDevices", "build_devices", "load_devices", "lower_devices"]

_HEADER_BYTES = isa.HEADER.size // 8


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


@dataclass(frozen=True, kw_only=True)
class _Device:
    """One device's share on its way to a directory."""

    model: WholeModel
    regions: dict[str, Region]
    programs: list[Segment]

    @property
    def name(self) -> str:
        return device_name(self.model.shard.device)


class _OwnJournal:
    """One device's entries of the journal that all share."""

    def __init__(self, journal: Journal, device: str) -> None:
        self._journal, self._prefix = journal, f"{device}/"
        self.entries = {
            name.removeprefix(self._prefix): entry
            for name, entry in journal.entries.items()
            if name.startswith(self._prefix)
        }

    def add(self, name: str, **entry: object) -> None:
        self._journal.add(f"{self._prefix}{name}", **entry)


def lower_devices(
    config: object, recipe: Recipe, params: HwParams, context: int | None, devices: int
) -> list[WholeModel]:
    """Return what each device computes; raises ValueError as `lower` and `shards` do."""
    model = lower(config, recipe, params, context)
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
    lower_devices(checkpoint.config, recipe, params, context, devices)  # before the fold's time
    origin, checkpoint = checkpoint, prepare(checkpoint, recipe)
    models = lower_devices(checkpoint.config, recipe, params, context, devices)
    parts = [_planned(model, params, Coding[coding.upper()], memory) for model in models]
    about = {
        "format": manifests.FORMAT,
        "model": asdict(checkpoint.config),
        "layers": [ALL_LAYERS],
        "recipe": recipe_entry(recipe),
        "coding": coding,
        "params": params.as_dict(),
        "fingerprint": fingerprint(params),
        "context": models[0].context,
    }
    target = Path(directory)
    before = identity(origin, **about, weights=weights, devices=devices)
    with resuming(target, before, progress) as (work, journal):
        filled = [with_contents(part.model, part.regions) for part in parts]
        require_room(target, work, sum(region.bytes for own in filled for region in own))
        shares = []
        for part, own in zip(parts, filled, strict=True):
            place_ = work / part.name
            place_.mkdir(exist_ok=True)
            files = Shards(place_, own)
            digests = emit(
                part.model,
                checkpoint,
                origin,
                part.regions,
                params,
                files,
                _OwnJournal(journal, part.name),
                lambda name, part=part: progress(f"{name} of {part.name}"),
            )
            of_weights = weights or {"weights": "real", "checkpoint": combined(digests)}
            shares.append(_write(part, {**about, **of_weights}, files, place_, params))
        if origin.stamp != before["checkpoint"]:
            raise ValueError(f"{origin.path} was changed while it was read: build the model again")
        manifests.write(
            {
                **about,
                "kind": "devices",
                **(weights or {"weights": "real"}),
                "devices": devices,
                "shards": shares,
            },
            work,
        )
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
    if wrong := disagreement([shard.manifest for shard in found]):
        raise ValueError(f"{directory} cannot be used ({wrong}): build the model again")
    return CompiledDevices(directory=directory, manifest=manifest, shards=found)


def _planned(model: WholeModel, params: HwParams, coding: Coding, memory: int | None) -> _Device:
    """Return a device's share; its memory map is made twice, as in `program_of`."""
    programs, slots = [], 0
    for _ in range(2):
        regions = place(model, params, slots=slots, memory=memory)
        programs = segments(model, regions, params, coding)
        lengths = [len(program.instructions) for program in programs]
        headers = len(programs) * _HEADER_BYTES // isa.SLOT_BYTES
        slots = sum(lengths) + headers - _HEADER_BYTES // isa.SLOT_BYTES
    del regions["records"]  # no program here has a loop
    return _Device(model=model, regions=regions, programs=programs)


def _write(
    part: _Device, about: dict[str, object], files: Shards, place_: Path, params: HwParams
) -> str:
    """Write a device's program and manifest; returns the manifest's checksum."""
    instructions = [program.instructions for program in part.programs]
    contents = {
        "program": emit_programs(instructions, about["fingerprint"], place_),
        **files.contents,
    }
    entries, offset = [], 0
    for program in part.programs:
        entry = {"name": program.name, "offset": offset, "exchange": program.exchange}
        entries.append(entry)
        offset += _HEADER_BYTES + len(program.instructions) * isa.SLOT_BYTES
    every = enumerate(step for steps in instructions for step in steps)
    last = [*part.regions.values()][-1]
    manifest = {
        **about,
        "kind": "shard",
        "shard": part.model.shard.as_dict(part.model.config),
        "tokens": 1,
        "memory_bytes": last.address + last.bytes,
        "regions": {
            name: {**vars(region), **contents.get(name, {})}
            for name, region in part.regions.items()
        },
        "segments": entries,
        "operations": manifests.operations(part.model.stages, every, params),
    }
    manifests.write(manifest, place_)
    return manifests.read(place_)["sha256"]
