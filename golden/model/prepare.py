"""From a checkpoint as it was trained to the one that a recipe's settings are for."""

from collections.abc import Callable
from functools import lru_cache

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.interface import Weights
from golden.checkpoint.readers import StoredGrid
from golden.model.find_fold import find_fold
from golden.recipe.adapter import adapt
from golden.recipe.exponents import apply_exponents
from golden.recipe.fold import Fold, apply_fold
from golden.recipe.recipe import Recipe

__all__ = ["Grids", "fold", "grids", "prepare"]

Grids = Callable[[str], StoredGrid | None]
"""Returns the grid that a matrix is on, by its canonical name."""


def grids(checkpoint: Weights, recipe: Recipe) -> Grids:
    """Return the grids of a checkpoint that `prepare` leaves: a fold or an adapter leaves none."""
    if recipe.fold is not None or recipe.adapter is not None:
        return lambda name: None
    return checkpoint.grid


@lru_cache(maxsize=1)  # it takes a while, and compiler and golden model want the same one
def fold(checkpoint: Checkpoint, source: str | Fold | None) -> Checkpoint:
    """Return a checkpoint with a fold in it: `source`, or what is found on this text, or none.

    Raises
    ------
    ValueError
        If the fold is another model's, or the text has less than 2 tokens.
    """
    if isinstance(source, str):
        source = find_fold(checkpoint, checkpoint.tokenizer.encode(source))
    return apply_fold(checkpoint, source)


def prepare(checkpoint: Checkpoint, recipe: Recipe) -> Checkpoint:
    """Return a checkpoint with a recipe's fold, adapter and exponents in; itself without any.

    Raises
    ------
    ValueError
        If they are another model's.
    """
    adapted = adapt(fold(checkpoint, recipe.fold), recipe.adapter)
    return apply_exponents(adapted, recipe.exponents)
