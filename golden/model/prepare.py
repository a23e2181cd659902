"""From a checkpoint as it was trained to the one that a recipe's settings are for."""

from collections.abc import Callable
from functools import lru_cache

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.interface import Weights
from golden.checkpoint.names import matrices
from golden.checkpoint.readers import StoredGrid
from golden.console.errors import CheckpointError
from golden.model.find_fold import find_fold
from golden.recipe.adapter import adapt
from golden.recipe.exponents import apply_exponents
from golden.recipe.fold import Fold, apply_fold
from golden.recipe.recipe import Recipe, locate

__all__ = ["Grids", "fold", "grids", "no_grid", "prepare"]

Grids = Callable[[str], StoredGrid | None]
"""Returns the grid that a matrix is on, by its canonical name."""


def no_grid(_name: str) -> StoredGrid | None:
    """Return that no matrix is on a grid."""
    return None


_FLOATS = ("", "F32", "F16", "BF16")


def grids(checkpoint: Weights, recipe: Recipe) -> Grids:
    """Return the grids of a checkpoint that `prepare` leaves: a fold or an adapter leaves none.

    Where a recipe asks for those of the file, what is returned raises `CheckpointError` for a
    matrix that is quantized in a way without a grid here; it is raised at once where no matrix at
    all is on one.
    """
    kept = recipe.fold is None and recipe.adapter is None

    def grid(name: str) -> StoredGrid | None:
        found = checkpoint.grid(name) if kept else None
        held = checkpoint.format(name)
        if found is None and held not in _FLOATS and asked(name):
            raise CheckpointError(
                f"{checkpoint.config.name}: {name} is held in {held}, whose grid is not known "
                "here: choose the recipe auto, which gives it 8 bits"
            )
        return found

    def asked(name: str) -> bool:
        return recipe.settings(*locate(name)).weights == "native"

    names = [name for name in matrices(checkpoint.config) if asked(name)]
    if names and all(grid(name) is None for name in names):
        raise CheckpointError(
            f"{checkpoint.config.name} has no matrix on a grid, which recipe {recipe.name} asks "
            "for: choose the recipe auto or w8"
        )
    return grid


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
