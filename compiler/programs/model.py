"""A whole model compiled: from a checkpoint to a directory whose program makes tokens."""

import errno
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.identity import identity
from compiler.artifact.program import Compiled, load
from compiler.models.origin import combined
from compiler.passes.coding import check_coding
from compiler.passes.constants import constants
from compiler.passes.emit import emit
from compiler.passes.model import lower
from compiler.passes.program import image_of_model
from compiler.passes.quantize import FromCheckpoint
from compiler.predict.measured import Measured, measured, predicted_cycles
from compiler.storage.partial import resuming
from golden.checkpoint.checkpoint import Checkpoint
from golden.measure.profile import Profile
from golden.model.prepare import grids, prepare
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["build_model", "require_room", "require_unchanged"]


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
    model = lower(checkpoint.config, recipe, params, context, grids(checkpoint, recipe))
    chosen: Measured | None = None
    codings: str | Mapping[str, str] = coding or "csd"
    if profile is not None:
        chosen = measured(profile, model, params, coding)
        codings = chosen.codings
    image = image_of_model(model, params, codings, memory)
    prepared = prepare(checkpoint, recipe)
    what = manifests.about(
        prepared.config,
        recipe,
        chosen.coding if chosen else coding or "csd",
        weights or {"weights": "real"},
    )
    hardware, target = fingerprint(params), Path(directory)
    before = identity(
        checkpoint, **what, fingerprint=hardware, context=model.context, codings=codings
    )
    with resuming(target, before, progress) as (work, journal):
        require_room(target, work, sum(region.bytes for region in image.filled()))
        contents, digests = emit(
            image,
            work,
            hardware,
            lambda matrix: FromCheckpoint(matrix, prepared, checkpoint),
            constants=constants(model, prepared, params),
            journal=journal,
            progress=progress,
        )
        if weights is None:
            what["checkpoint"] = combined(digests)
        manifest = manifests.of_image(image, contents, what)
        if profile is not None and chosen is not None:
            cycles = predicted_cycles(
                profile,
                image.program,
                params,
                chosen.position,
                words_a_cycle=words_a_cycle,
            )
            manifest["schedule"] = chosen.as_dict(cycles, words_a_cycle)
        require_unchanged(checkpoint, before)
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


def require_unchanged(checkpoint: Checkpoint, before: Mapping[str, object]) -> None:
    """Raise ValueError where a checkpoint has changed since its `identity` was taken."""
    if checkpoint.stamp != before["checkpoint"]:
        raise ValueError(f"{checkpoint.path} was changed while it was read: build the model again")
