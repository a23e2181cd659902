"""From a checkpoint as it was trained to the one that a recipe's settings are for."""

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.derived import DerivedCheckpoint
from golden.recipe.adapter import adapt
from golden.recipe.fold import fold
from golden.recipe.recipe import Recipe

__all__ = ["prepare"]


def prepare(checkpoint: Checkpoint, recipe: Recipe) -> Checkpoint | DerivedCheckpoint:
    """Return a checkpoint with a recipe's fold and adapter in its tensors; itself without any.

    Raises
    ------
    ValueError
        If they are another model's.
    """
    return adapt(fold(checkpoint, recipe.fold), recipe.adapter)
