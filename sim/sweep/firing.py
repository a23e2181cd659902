"""What all configurations of a recipe share: how the vectors of a prompt fire.

Spike counts and thresholds follow from model, recipe and prompt; neither the hardware nor the
coding changes them. Weights change no cycle, so workers need neither them nor the model's file.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from compiler.passes.lower import Stage, lower
from golden.checkpoint.checkpoint import Checkpoint
from golden.model.prepare import grids, prepare
from golden.model.spiking import SpikingLinear
from golden.numerics.neuron import encode_vectors
from golden.recipe.recipe import Recipe
from sim.check.activations import prompt_vectors

__all__ = ["Firing", "fire", "fire_all"]


@dataclass(frozen=True, kw_only=True)
class Firing:
    """The work of every configuration of a recipe.

    Attributes
    ----------
    stages : tuple of Stage
        Sites and the shapes of their matrices.
    counts : tuple of ndarray
        Spike counts of each stage times the weights of their spikes, (prompt_tokens, channels) in
        int16.
    thresholds : tuple of tuple of int
        V of each token, for each stage.
    """

    stages: tuple[Stage, ...]
    counts: tuple[np.ndarray, ...]
    thresholds: tuple[tuple[int, ...], ...]

    @property
    def prompt_tokens(self) -> int:
        """Vectors that reach each stage."""
        return len(self.counts[0])

    def digest(self) -> str:
        """Return the SHA-256, in hex, over all of it."""
        whole = hashlib.sha256(repr((self.stages, self.thresholds)).encode())
        for counts in self.counts:
            whole.update(np.ascontiguousarray(counts).tobytes())
        return whole.hexdigest()


def fire(
    checkpoint: Checkpoint,
    recipe: Recipe,
    layers: list[str],
    prompt: str,
    prompt_tokens: int,
    say: Callable[[str], None] = lambda _doing: None,
) -> Firing:
    """Let the golden model make the vectors of a prompt, and encode them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    recipe : Recipe
        How it becomes spike-driven.
    layers : list of str
        As `compiler.passes.lower.lower` takes them.
    prompt : str
        Any text.
    prompt_tokens : int
        How many of its last tokens.
    say : callable
        Is told what is being done.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist or agree.
    """
    folded = prepare(checkpoint, recipe)
    stages = tuple(lower(folded.config, layers, recipe, None, grids(folded, recipe)))
    linear = SpikingLinear(
        folded.config,
        folded.tensor,
        recipe,
        lambda site, _: say(f"golden model, recipe {recipe.name}: {site}"),
        grids(folded, recipe),
    )
    sites = [stage.name for stage in stages]
    vectors = prompt_vectors(folded, linear, sites, prompt, prompt_tokens)
    encoded = [
        encode_vectors(
            torch.from_numpy(vectors[stage.name]),
            stage.site,
            exponents=recipe.exponents_of(stage.name, stage.channels),
        )
        for stage in stages
    ]
    return Firing(
        stages=stages,
        counts=tuple(found.spikes.numpy() for found in encoded),
        thresholds=tuple(tuple(map(int, found.v)) for found in encoded),
    )


def fire_all(
    checkpoint: Checkpoint,
    recipes: Mapping[str, Recipe],
    layers: list[str],
    prompt: str,
    prompt_tokens: int,
    say: Callable[[str], None],
) -> dict[str, Firing | str]:
    """Return what each recipe's configurations share, or why it cannot be compiled.

    Parameters and errors are those of `fire`; it is an error where no recipe can be compiled.
    """
    found: dict[str, Firing | str] = {}
    for name, recipe in recipes.items():
        try:
            lower(checkpoint.config, layers, recipe)
        except ValueError as error:
            found[name] = str(error)
    if len(found) == len(recipes):
        raise ValueError(next(iter(found.values())))
    for name, recipe in recipes.items():
        if name not in found:
            found[name] = fire(checkpoint, recipe, layers, prompt, prompt_tokens, say)
    return found
