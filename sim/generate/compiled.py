"""A whole model compiled for a request, and kept for the next one."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from compiler.artifact.program import Compiled, load
from compiler.passes.lower import ALL_LAYERS
from compiler.passes.model import lower
from compiler.programs.devices import CompiledDevices, build_devices, load_devices
from compiler.programs.model import build_model
from golden.checkpoint.interface import Checkpoint
from golden.console.version import sources
from golden.model.prepare import grids
from golden.recipe.recipe import load_recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from sim.check.origin import checkpoint_of, load_checkpoint
from sim.generate.request import MODEL, PRESET, GenerateRequest
from sim.runs.place import Place, alone, hardware_names, place_of, taken

__all__ = ["Opened", "compiled_devices", "compiled_model", "take_place"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A compiled model that is ready to run.

    Attributes
    ----------
    compiled : Compiled
        The model.
    checkpoint : Checkpoint
        What it is compiled from.
    place : Place
        Of the run.
    home : Path
        Where the compiled model is kept for the next time; other runs of it wait.
    """

    compiled: Compiled
    checkpoint: Checkpoint
    place: Place
    home: Path


def compiled_model(
    request: GenerateRequest, runner: str, say: Callable[[str], None], until_the_end: ExitStack
) -> Opened:
    """Compile a whole model, unless it is there.

    Parameters
    ----------
    request : GenerateRequest
        The model.
    runner : str
        What runs it, for the name of the run's place.
    say : callable
        Is told what is being done.
    until_the_end : ExitStack
        Holds the run's place.

    Raises
    ------
    ValueError
        In one sentence, where the request is at fault.
    """
    if request.compiled is not None:
        compiled = load(request.compiled, preset(request.preset) if request.preset else None)
        if compiled.is_shard:
            raise ValueError(
                f"{request.compiled} is one device's share of a model: run all of "
                f"{request.compiled.parent}"
            )
        if not compiled.is_model:
            raise ValueError(
                f"{request.compiled} holds layers, not a whole model: run it with python -m sim "
                "run, or compile --layers all"
            )
        checkpoint = checkpoint_of(compiled, request.model, say)
        place = take_place(request, compiled, checkpoint, runner, until_the_end)
        return Opened(
            compiled=compiled, checkpoint=checkpoint, place=place, home=request.compiled.parent
        )
    params, recipe = preset(request.preset or PRESET), load_recipe(request.recipe)
    checkpoint = load_checkpoint(request.model or MODEL, say)
    # Refuses before anything is made.
    lower(checkpoint.config, recipe, params, request.context, grids(checkpoint, recipe))
    context = f"context{request.context}" if request.context else ""
    named = (*hardware_names(params), request.coding, recipe.name, context)
    home = place_of(checkpoint.config.name, ALL_LAYERS, *named)
    own = request.output or home.with_name(f"{home.name}-{runner}")
    asked = request.asked(checkpoint.config.name, runner.partition("-x")[0])
    fixed = request.output is not None
    taking = taken(own, asked, command=request.command, fixed=fixed)
    place = until_the_end.enter_context(taking)
    if request.output is not None:
        home = request.output
    else:
        until_the_end.enter_context(alone(home))
    compiled = _kept(
        home / "compiled",
        _key(request, checkpoint),
        lambda target: load(target, params),
        lambda target: build_model(
            checkpoint,
            target,
            params=params,
            recipe=recipe,
            coding=request.coding,
            context=request.context,
            progress=lambda matrix: say(f"compiled {matrix}"),
        ),
        say,
    )
    return Opened(compiled=compiled, checkpoint=checkpoint, place=place, home=home)


def compiled_devices(
    request: GenerateRequest, opened: Opened, say: Callable[[str], None]
) -> CompiledDevices:
    """Return the same model compiled for several devices, kept beside that for one."""
    params, recipe = preset(request.preset or PRESET), load_recipe(request.recipe)
    return _kept(
        opened.home / f"compiled-{request.devices}",
        _key(request, opened.checkpoint),
        lambda target: load_devices(target, params),
        lambda target: build_devices(
            opened.checkpoint,
            target,
            devices=request.devices,
            params=params,
            recipe=recipe,
            coding=request.coding,
            context=request.context,
            progress=lambda matrix: say(f"compiled {matrix} for {request.devices} devices"),
        ),
        say,
    )


def take_place(
    request: GenerateRequest,
    compiled: Compiled,
    checkpoint: Checkpoint,
    runner: str,
    until_the_end: ExitStack,
) -> Place:
    """Take the place of a run of a compiled directory."""
    model, manifest = checkpoint.config.name, compiled.manifest
    names = (manifest["coding"], manifest["recipe"]["name"], runner)
    own = request.output or place_of(model, ALL_LAYERS, *hardware_names(compiled.params), *names)
    asked = request.asked(model, runner.partition("-x")[0])
    fixed = request.output is not None
    taking = taken(own, asked, command=request.command, fixed=fixed)
    return until_the_end.enter_context(taking)


def _kept(
    target: Path,
    key: str,
    load: Callable[[Path], T],
    build: Callable[[Path], T],
    say: Callable[[str], None],
) -> T:
    """Return what is compiled at `target` if it was with the same `key`, or compile it anew."""
    key_file = target.with_name(f"{target.name}.key")
    if key_file.exists() and key_file.read_text() == key:
        try:
            return load(target)
        except ValueError:
            pass  # damaged: it is made again
    key_file.unlink(missing_ok=True)
    say("compiling")
    compiled = build(target)
    key_file.write_text(key)
    return compiled


def _key(request: GenerateRequest, checkpoint: Checkpoint) -> str:
    """Return what a compiled model depends on, as a digest."""
    files = [checkpoint.path]
    if checkpoint.path.is_dir():
        files = sorted(path for path in checkpoint.path.iterdir() if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    hardware = fingerprint(preset(request.preset or PRESET))
    recipe = repr(load_recipe(request.recipe))
    parts = [states, sources("compiler", "golden"), hardware, recipe]
    parts += [request.coding, request.context]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
