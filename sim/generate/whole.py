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
from golden.checkpoint.checkpoint import Checkpoint
from golden.console.version import sources
from golden.recipe.recipe import load_recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from sim.check import cases
from sim.check.run import OUTPUT_ROOT, alone, preset_name
from sim.device import Timing
from sim.scale.link import Link

__all__ = ["GenerateRequest", "compiled_devices", "compiled_model"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """What to generate: see ``python -m sim generate --help``; None stands for the default.

    Attributes
    ----------
    model, preset, coding, recipe : str or None
        What is compiled.
    context : int or None
        Positions that it is compiled for.
    compiled : Path or None
        A compiled directory to run instead; the above are then its.
    prompt : str or None
        The text to continue.
    tokens : int
        How many are added at most.
    device : str
        One of `sim.check.run.DEVICES`.
    devices : int
        How many of them share the model.
    link : Link
        Between several.
    check : bool
        Whether golden's integer model must say the same, and the functional device count the same.
    timing : Timing
        Of the memory behind the rtl and cycle devices, and the seed.
    output : Path or None
        Directory of the report.
    """

    model: str | None = None
    preset: str | None = None
    coding: str = "csd"
    recipe: str = "w8"
    context: int | None = None
    compiled: Path | None = None
    prompt: str | None = None
    tokens: int = 64
    device: str = "functional"
    devices: int = 1
    link: Link = Link()
    check: bool = False
    timing: Timing = Timing()
    output: Path | None = None


def compiled_model(
    request: GenerateRequest, say: Callable[[str], None], until_the_end: ExitStack
) -> tuple[Compiled, Checkpoint, Path]:
    """Return the compiled model, which is kept for the next time, its checkpoint, and a place."""
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
        checkpoint = cases.checkpoint_of(compiled, request.model, say)
        return compiled, checkpoint, _directory(request, checkpoint, compiled)
    params, recipe = preset(request.preset or "edge"), load_recipe(request.recipe)
    checkpoint = cases.load_checkpoint(request.model or "smollm2-135m", say)
    lower(checkpoint.config, recipe, params, request.context)  # refuses before anything is made
    directory = _directory(request, checkpoint, None)
    until_the_end.enter_context(alone(directory))
    choices = {"params": params, "recipe": recipe, "coding": request.coding}
    compiled = kept(
        directory / "compiled",
        _key(request, checkpoint, fingerprint(params), recipe),
        lambda target: load(target, params),
        lambda target: build_model(
            checkpoint,
            target,
            context=request.context,
            progress=lambda matrix: say(f"compiled {matrix}"),
            **choices,
        ),
        say,
    )
    return compiled, checkpoint, directory


def compiled_devices(
    request: GenerateRequest, checkpoint: Checkpoint, directory: Path, say: Callable[[str], None]
) -> CompiledDevices:
    """Return the same model compiled for several devices, kept beside that for one."""
    params, recipe = preset(request.preset or "edge"), load_recipe(request.recipe)
    return kept(
        directory / f"compiled-{request.devices}",
        _key(request, checkpoint, fingerprint(params), recipe),
        lambda target: load_devices(target, params),
        lambda target: build_devices(
            checkpoint,
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


def kept(
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


def _key(request: GenerateRequest, checkpoint: Checkpoint, hardware: str, recipe: object) -> str:
    """Return what a compiled model depends on, as a digest."""
    files = [checkpoint.path]
    if checkpoint.path.is_dir():
        files = sorted(path for path in checkpoint.path.iterdir() if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    code = sources("compiler", "golden")
    parts = [states, code, hardware, repr(recipe), request.coding, request.context]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _directory(request: GenerateRequest, checkpoint: Checkpoint, compiled: Compiled | None) -> Path:
    if request.output:
        return request.output
    hardware = request.preset or "edge"
    if compiled is not None:
        hardware = preset_name(compiled.params) or compiled.fingerprint[:12]
    return OUTPUT_ROOT / cases.file_name(checkpoint.config.name) / f"{ALL_LAYERS}-{hardware}"
