"""A whole model compiled for a request, and kept for the next one."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from compiler.model.build import ALL_LAYERS, build_model
from compiler.model.lower import lower
from compiler.program import Compiled, load
from golden.checkpoints import Checkpoint
from golden.recipe import load_recipe
from hw.fingerprint import fingerprint
from hw.presets import preset
from sim import cases
from sim.rtl import Timing
from sim.run import OUTPUT_ROOT, alone, preset_name
from sim.verilog import ROOT, digest

__all__ = ["GenerateRequest", "compiled_model"]


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
        One of `sim.run.DEVICES`.
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
    check: bool = False
    timing: Timing = Timing()
    output: Path | None = None


def compiled_model(
    request: GenerateRequest, say: Callable[[str], None], until_the_end: ExitStack
) -> tuple[Compiled, Checkpoint, Path]:
    """Return the compiled model, which is kept for the next time, its checkpoint, and a place."""
    if request.compiled is not None:
        compiled = load(request.compiled, preset(request.preset) if request.preset else None)
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
    target, key_file = directory / "compiled", directory / "compiled.key"
    key = _key(request, checkpoint, fingerprint(params), recipe)
    if key_file.exists() and key_file.read_text() == key:
        try:
            return load(target, params), checkpoint, directory
        except ValueError:
            pass  # damaged: it is made again
    key_file.unlink(missing_ok=True)
    say("compiling")
    compiled = build_model(
        checkpoint,
        target,
        params=params,
        recipe=recipe,
        coding=request.coding,
        context=request.context,
        progress=lambda matrix: say(f"compiled {matrix}"),
    )
    key_file.write_text(key)
    return compiled, checkpoint, directory


def _key(request: GenerateRequest, checkpoint: Checkpoint, hardware: str, recipe: object) -> str:
    """Return what a compiled model depends on, as a digest."""
    files = [checkpoint.path]
    if checkpoint.path.is_dir():
        files = sorted(path for path in checkpoint.path.iterdir() if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    sources = digest(p for part in ("compiler", "golden") for p in (ROOT / part).rglob("*.py"))
    parts = [states, sources, hardware, repr(recipe), request.coding, request.context]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _directory(request: GenerateRequest, checkpoint: Checkpoint, compiled: Compiled | None) -> Path:
    if request.output:
        return request.output
    hardware = request.preset or "edge"
    if compiled is not None:
        hardware = preset_name(compiled.params) or compiled.fingerprint[:12]
    return OUTPUT_ROOT / cases.file_name(checkpoint.config.name) / f"{ALL_LAYERS}-{hardware}"
