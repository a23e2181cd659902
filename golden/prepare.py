"""From a checkpoint as it was trained to the one that a recipe's settings are for."""

from golden.adapter import adapt
from golden.checkpoints import Checkpoint
from golden.derived import DerivedCheckpoint
from golden.fold import fold
from golden.recipe import Recipe

__all__ = ["prepare"]


def prepare(checkpoint: Checkpoint, recipe: Recipe) -> Checkpoint | DerivedCheckpoint:
    """Return a checkpoint with a recipe's fold and adapter in its tensors; itself without any.

    Raises
    ------
    ValueError
        If they are another model's.
    """
    return adapt(fold(checkpoint, recipe.fold), recipe.adapter)
