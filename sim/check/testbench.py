"""A layer as a bench in plain Verilog: its memory, and the words that golden says must come."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact import program
from compiler.models.known import KNOWN_MODELS
from compiler.models.synthetic import SyntheticCheckpoint
from golden.checkpoint.prompt import Prompt
from golden.console.errors import CheckpointError
from golden.recipe.known import DEFAULT_RECIPE
from golden.recipe.recipe import load_recipe
from hw.contract.description import described
from hw.contract.presets import preset
from hw.generate import bench
from sim.check.case import Case, of_checkpoint, of_directory
from sim.check.origin import load_checkpoint
from sim.device import memory_before

__all__ = ["SYNTHETIC", "Asked", "write"]

SYNTHETIC = "synthetic"
"""Calls random weights of stories260k's shapes."""

_MODEL, _PRESET = "stories260k", "test"
_SEED = 0
_TOKENS = (1, 403, 407, 261, 378)  # a prompt where there is no tokenizer


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a bench is asked for: see ``python -m sim testbench --help``; None is the default."""

    model: str | None = None
    layer: str = "mlp0"
    preset: str | None = None
    hardware: Path | None = None
    compiled: Path | None = None
    recipe: str = DEFAULT_RECIPE
    coding: str = "csd"
    prompt: Prompt | None = None


def write(
    asked: Asked, directory: Path, say: Callable[[str], None] = lambda _doing: None
) -> tuple[Case, list[Path]]:
    """Write the bench of a layer into `directory`; return the case and the files.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        case = _case(asked, Path(scratch) / "compiled", say)
        compiled = case.compiled
        content = bench.Content(
            params=compiled.params,
            what=_what(case),
            program=compiled.program_address,
            memory=memory_before(compiled, case.inputs).tobytes(),
            expected=_expected(case),
        )
        say("writing")
        return case, bench.write(content, directory)


def _case(asked: Asked, scratch: Path, say: Callable[[str], None]) -> Case:
    if asked.compiled is not None:
        compiled = program.load(asked.compiled)
        return of_directory(compiled, asked.model, prompt=asked.prompt, say=say)
    if asked.hardware is not None and asked.preset is not None:
        raise ValueError("--preset and --hardware are one too many: leave one out")
    checkpoint, weights, prompt = None, None, asked.prompt
    if asked.model != SYNTHETIC:
        try:
            checkpoint = load_checkpoint(asked.model or _MODEL, say)
        except CheckpointError:
            if asked.model is not None:
                raise
    if checkpoint is None:
        checkpoint = SyntheticCheckpoint(KNOWN_MODELS[_MODEL].config, _SEED)
        weights: dict[str, object] | None = {"weights": SYNTHETIC, "seed": _SEED}
        prompt = _TOKENS if prompt is None else prompt
    return of_checkpoint(
        checkpoint,
        asked.layer.split(","),
        params=described(asked.hardware) if asked.hardware else preset(asked.preset or _PRESET),
        recipe=load_recipe(asked.recipe),
        coding=asked.coding,
        rows=None,
        prompt=prompt,
        tokens=None,
        directory=lambda _model, _tokens: scratch,
        say=say,
        weights=weights,
    )


def _what(case: Case) -> str:
    manifest = case.compiled.manifest
    kind = "" if manifest["weights"] == "real" else f" ({manifest['weights']} weights)"
    recipe = manifest["recipe"]["name"]
    return (
        f"Runs {case.layer} of {case.model}{kind}, recipe {recipe}, coding {manifest['coding']}, "
        f"{case.compiled.tokens} tokens; expected words are the golden model's"
    )


def _expected(case: Case) -> Iterator[tuple[int, int]]:
    """Yield byte addresses and words of every output element."""
    compiled = case.compiled
    for name, region in compiled.outputs.items():
        stride = compiled.params.vector_bytes(region.channels)
        for token, values in enumerate(case.expected.outputs[name].tolist()):
            for channel, value in enumerate(values):
                yield region.address + token * stride + 4 * channel, value & 0xFFFFFFFF
