"""The passes one after another: from a checkpoint to a compiled directory of the whole model."""

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from compiler.artifact import manifest as manifests
from compiler.artifact.identity import identity
from compiler.artifact.origin import combined
from compiler.artifact.program import Compiled, load
from compiler.passes.emit import Shards, emit_program
from compiler.passes.loop import Program, fold
from compiler.passes.place import Region
from compiler.passes.stream import emit, with_contents
from compiler.predict.measured import Measured, measured, predicted_cycles
from compiler.programs.layers import check_coding, recipe_entry
from compiler.programs.lower import WholeModel, lower
from compiler.programs.place import place, require_memory
from compiler.programs.schedule import schedule
from compiler.storage.partial import resuming
from golden.checkpoint.checkpoint import Checkpoint
from golden.measure.profile import Profile
from golden.model.prepare import prepare
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Coding
from hw.contract.params import HwParams

__all__ = ["ALL_LAYERS", "build_model", "program_of", "require_room"]

ALL_LAYERS = "all"
"""What a whole model is asked for by, in place of layers."""


def program_of(
    model: WholeModel,
    params: HwParams,
    coding: str | Mapping[str, str],
    memory: int | None = None,
) -> tuple[Program, dict[str, Region]]:
    """Return a model's program and its memory map.

    The map comes twice: first to learn how many slots the program has, which depends on no address.
    `coding` is that of all sites, or each one's by its name.
    """
    if isinstance(coding, str):
        codings = Coding[coding.upper()]
    else:
        codings = {site: Coding[name.upper()] for site, name in coding.items()}
    slots = 0
    for _ in range(2):
        regions = place(model, params, slots=slots, memory=memory)
        token = schedule(model, regions, params, codings)
        program = fold(model, token, regions)
        slots = len(program.instructions)
    regions["records"] = replace(regions["records"], bytes=len(program.records))
    require_memory(regions, params, memory)
    return program, regions


def build_model(
    checkpoint: Checkpoint,
    directory: str | Path,
    *,
    params: HwParams,
    recipe: Recipe,
    coding: str | None = None,
    context: int | None = None,
    memory: int | None = None,
    profile: Profile | None = None,
    words_a_cycle: float = 1.0,
    weights: dict[str, object] | None = None,
    progress: Callable[[str], None] = lambda matrix: None,
    reports: Callable[[Path, dict], None] = lambda directory, manifest: None,
) -> Compiled:
    """Compile a whole model.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    directory : path
        Where it is written, whole or not at all; where an earlier build of the same was
        interrupted, it goes on (`compiler.storage.partial`).
    params : HwParams
        The hardware.
    recipe : Recipe
        How the model becomes spike-driven; its fold and adapter go into the checkpoint first.
    coding : str, optional
        ``unary``, ``bitwise`` or ``csd``; by default csd, or what the profile says of each site.
    context : int, optional
        Positions to make room for; by default all that model and hardware have.
    memory : int, optional
        Bytes of memory; by default all that the hardware addresses.
    profile : Profile, optional
        How the model spikes: each site's coding is chosen by it.
    words_a_cycle : float
        What the memory delivers, at most 1: for the cycles that are predicted with a profile.
    weights : dict, optional
        What the manifest says of the weights where they are not real ones.
    progress : callable
        Told the name of what is written.
    reports : callable
        Given the directory and its manifest when all else is there; writes what is for people.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    OSError
        Where a file cannot be read or written; what is done stays for the next build.
    """
    if coding is not None:
        check_coding(coding)
    if profile is not None:
        profile.identity.require(checkpoint, recipe)
    lower(checkpoint.config, recipe, params, context)  # refuses before the fold takes its time
    origin, checkpoint = checkpoint, prepare(checkpoint, recipe)
    model = lower(checkpoint.config, recipe, params, context)
    chosen: Measured | None = None
    codings: str | Mapping[str, str] = coding or "csd"
    if profile is not None:
        chosen = measured(profile, model, params, coding)
        codings = chosen.codings
    program, regions = program_of(model, params, codings, memory)
    if not program.records:
        del regions["records"]  # the layers do not differ: there is but one
    about = {
        "format": manifests.FORMAT,
        "model": asdict(checkpoint.config),
        "recipe": recipe_entry(recipe),
        "coding": codings if isinstance(codings, str) else chosen.coding,
        "params": params.as_dict(),
        "fingerprint": fingerprint(params),
        "context": model.context,
    }
    target = Path(directory)
    before = identity(
        origin,
        **about,
        weights=weights,
        codings=codings if isinstance(codings, str) else dict(codings),
    )
    with resuming(target, before, progress) as (work, journal):
        filled = with_contents(model, regions)
        require_room(target, work, sum(region.bytes for region in filled))
        shards = Shards(work, filled)
        digests = emit(model, checkpoint, origin, regions, params, shards, journal, progress)
        if program.records:
            shards.write(regions["records"], [np.frombuffer(program.records, np.uint8)])
        contents = {
            "program": emit_program(program.instructions, about["fingerprint"], work),
            **shards.contents,
        }
        last = [*regions.values()][-1]
        manifest = {
            **about,
            "kind": "model",
            **(weights or {"weights": "real", "checkpoint": combined(digests)}),
            "layers": [ALL_LAYERS],
            "tokens": 1,
            "memory_bytes": last.address + last.bytes,
            "regions": {
                name: {**vars(region), **contents.get(name, {})} for name, region in regions.items()
            },
            "operations": manifests.operations(model.stages, program.unrolled, params),
        }
        if chosen is not None:
            cycles = predicted_cycles(
                profile,
                model,
                program,
                params,
                chosen.position,
                words_a_cycle=words_a_cycle,
            )
            manifest["schedule"] = chosen.as_dict(cycles, words_a_cycle)
        if origin.stamp != before["checkpoint"]:
            raise ValueError(f"{origin.path} was changed while it was read: build the model again")
        reports(work, manifest)
        manifests.write(manifest, work)
    return load(directory, params, verify=False)


def require_room(target: Path, work: Path, needed: int) -> None:
    """Raise OSError where the disk has no room, before the work is done for nothing."""
    there = sum(path.stat().st_blocks * 512 for path in work.rglob("*"))
    free = shutil.disk_usage(work).free
    if free + there < needed:
        raise OSError(
            errno.ENOSPC,
            f"the model takes {needed - there:,} bytes more, but the disk has only {free:,} free: "
            "make room, or name another place with -o",
            str(target),
        )
