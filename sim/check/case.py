"""What a run is made of: a compiled program, vectors for it, and what golden says it must give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.artifact import program
from compiler.passes import lower
from compiler.programs import layers as build
from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.prompt import Prompt, prompt_ids
from golden.model.prepare import grids, prepare
from golden.model.spiking import SpikingLinear
from golden.numerics.neuron import Encoded
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams
from sim.check.activations import default_prompt, prompt_vectors
from sim.check.expected import Expected, expect
from sim.check.origin import checkpoint_of, load_checkpoint, recipe_of

__all__ = ["Case", "of_checkpoint", "of_directory", "of_layers"]

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program to run, and what must come of it.

    Attributes
    ----------
    compiled : Compiled
        The program.
    inputs : mapping of str to ndarray
        By input region, (tokens, channels) in int32 (Q15.16).
    expected : Expected
        Golden's results.
    prompt : str or sequence of int
        Text, or tokens, whose last tokens' vectors the inputs are.
    """

    compiled: program.Compiled
    inputs: Mapping[str, np.ndarray]
    expected: Expected
    prompt: Prompt

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.compiled.manifest["model"]["name"]

    @property
    def layer(self) -> str:
        """Name of the layers."""
        return ",".join(self.compiled.manifest["layers"])


def of_layers(
    model: str,
    layers: list[str],
    *,
    params: HwParams,
    recipe: Recipe,
    coding: str,
    rows: str | None,
    prompt: Prompt | None,
    tokens: int | None,
    directory: Callable[[str, int], Path],
    say: Say,
) -> Case:
    """Compile layers of a model for a prompt.

    Parameters
    ----------
    model : str
        A known model or a checkpoint's path.
    layers, params, recipe, coding, rows
        As `compiler.programs.layers.build` takes them.
    prompt : str or sequence of int, optional
        Text or tokens; by default one that suits the model.
    tokens : int, optional
        How many of its last tokens; by default as many as the hardware takes at once.
    directory : callable
        Returns where the compiled program is written, given the model's name and the tokens.
    say : callable
        Is told what is being done.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    checkpoint = load_checkpoint(model, say)
    return of_checkpoint(
        checkpoint,
        layers,
        params=params,
        recipe=recipe,
        coding=coding,
        rows=rows,
        prompt=prompt,
        tokens=tokens,
        directory=directory,
        say=say,
    )


def of_checkpoint(
    checkpoint: Checkpoint,
    layers: list[str],
    *,
    params: HwParams,
    recipe: Recipe,
    coding: str,
    rows: str | None,
    prompt: Prompt | None,
    tokens: int | None,
    directory: Callable[[str, int], Path],
    say: Say,
    weights: dict[str, object] | None = None,
) -> Case:
    """Compile layers of a checkpoint that is at hand for a prompt; else as `of_layers`.

    `weights` is what the manifest says of them where they are not real ones.
    """
    folded = _fold(checkpoint, recipe, say)
    stages = lower.lower(folded.config, layers, recipe, rows, grids(folded, recipe))
    prompt = default_prompt(checkpoint.config.name) if prompt is None else prompt
    if tokens is None:
        tokens = min(params.tokens, len(prompt_ids(checkpoint, prompt)))
    linear = _linear(folded, recipe, say)
    sites = [stage.name for stage in stages]
    vectors = prompt_vectors(folded, linear, sites, prompt, tokens)
    say("compiling")
    compiled = build.build(
        checkpoint,
        layers,
        directory(checkpoint.config.name, tokens),
        params=params,
        recipe=recipe,
        coding=coding,
        tokens=tokens,
        rows=rows,
        weights=weights,
        prepared=folded,
    )
    return _case(linear, compiled, vectors, prompt, say)


def of_directory(
    compiled: program.Compiled, model: str | None, *, prompt: Prompt | None, say: Say
) -> Case:
    """Take a compiled directory as it is; golden reads the model's checkpoint for itself.

    `model` names the checkpoint where the directory's own name for it does not. Other parameters
    and errors are those of `of_layers`.
    """
    if compiled.is_model or compiled.is_shard:
        what = "one device's share of a model" if compiled.is_shard else "a whole model"
        raise ValueError(
            f"{compiled.directory} holds {what}, not layers: run it with python -m sim generate"
        )
    manifest = compiled.manifest
    recipe = recipe_of(compiled)
    checkpoint = _fold(checkpoint_of(compiled, model, say), recipe, say)
    steps = manifest["operations"]
    linear = _linear(checkpoint, recipe, say)
    prompt = default_prompt(checkpoint.config.name) if prompt is None else prompt
    sites = [step["site"] for step in steps if step["operation"] == "ENCODE"]
    vectors = prompt_vectors(checkpoint, linear, sites, prompt, compiled.tokens)
    return _case(linear, compiled, vectors, prompt, say)


def _fold(checkpoint: Checkpoint, recipe: Recipe, say: Say) -> Checkpoint:
    if recipe.fold is not None:
        say("folding")
    return prepare(checkpoint, recipe)


def _linear(checkpoint: Checkpoint, recipe: Recipe, say: Say) -> SpikingLinear:
    """Return golden's matrices; each is quantized when it is first applied, which takes a while."""

    def observe(site: str, _: Encoded) -> None:
        say(f"golden model: {site}")

    return SpikingLinear(
        checkpoint.config, checkpoint.tensor, recipe, observe, grids(checkpoint, recipe)
    )


def _case(
    linear: SpikingLinear,
    compiled: program.Compiled,
    vectors: Mapping[str, np.ndarray],
    prompt: Prompt,
    say: Say,
) -> Case:
    say("golden model: expected outputs")
    inputs = {f"{site}.input": values for site, values in vectors.items()}
    expected = expect(linear, compiled, inputs)
    return Case(compiled=compiled, inputs=inputs, expected=expected, prompt=prompt)
