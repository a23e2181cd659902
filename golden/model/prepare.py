"""From a checkpoint as it was trained to the one that a recipe's settings are for."""

from functools import lru_cache

from golden.checkpoint.checkpoint import Checkpoint
from golden.model.find_fold import find_fold
from golden.recipe.adapter import adapt
from golden.recipe.exponents import apply_exponents
from golden.recipe.fold import Fold, apply_fold
from golden.recipe.recipe import Recipe

__all__ = ["fold", "prepare"]


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
