"""The model, the token and the firing that `energy` and `boards` are of."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from compiler.models.known import KNOWN_MODELS
from compiler.models.request import request
from golden.checkpoint.checkpoint import load
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.measure.profile_file import load_profile
from golden.model.prepare import Grids, grids, no_grid
from golden.recipe.recipe import Recipe, load_recipe

__all__ = ["Asked", "asked"]

_POSITION, _PROMPT = 1023, 1024  # unless a model ends before


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a prediction is asked for.

    Attributes
    ----------
    config, recipe : ModelConfig, Recipe
        What runs.
    position, prompt : int
        Of the token, and tokens of a prompt; both lie within the model.
    profile : Profile or None
        How it spikes; None where that is assumed.
    grids : callable
        Returns the grid that a matrix of its file is on; where there is no file, none.
    """

    config: ModelConfig
    recipe: Recipe
    position: int
    prompt: int
    profile: Profile | None
    grids: Grids


def asked(options: argparse.Namespace) -> Asked:
    """Return what the options ask for; raises ValueError, one sentence, where it cannot be."""
    config = _config(options.model)
    last = config.max_positions - 1
    position = min(_POSITION, last) if options.position is None else options.position
    prompt = min(_PROMPT, last + 1) if options.prompt is None else options.prompt
    for name, value, least in (("position", position, 0), ("prompt-tokens", prompt, 1)):
        if not least <= value <= last + least:
            raise ValueError(
                f"--{name} must be {least} to {last + least} for {config.name}, not {value}"
            )
    recipe = load_recipe(options.recipe)
    profile = _profile(options.model, options.profile, recipe)
    checkpoint = request(options.model).checkpoint
    return Asked(
        config=config,
        recipe=recipe,
        position=position,
        prompt=prompt,
        profile=profile,
        grids=no_grid if checkpoint is None else grids(checkpoint, recipe),
    )


def _config(model: str) -> ModelConfig:
    named = KNOWN_MODELS.get(model)
    if named is None and not Path(model).exists():
        raise ValueError(
            f"there is no model {model}: name one of {', '.join(KNOWN_MODELS)}, or a checkpoint"
        )
    return named.config if named is not None else load(model).config


def _profile(model: str, path: Path | None, recipe: Recipe) -> Profile | None:
    """Return the profile at a path, if it is of the model and the recipe."""
    if path is None:
        return None
    profile, checkpoint = load_profile(path), request(model).checkpoint
    if checkpoint is None:
        raise ValueError(f"--profile must be left out: {model} has no weights that it could be of")
    profile.identity.require(checkpoint, recipe)
    return profile
