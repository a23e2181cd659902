"""The windows of a text that several commands run a model over."""

import argparse

from golden.checkpoint.checkpoint import Checkpoint, load
from golden.measure.perplexity import read_text, windows
from golden.recipe.recipe import Recipe, load_recipe

__all__ = ["read_windows"]


def read_windows(options: argparse.Namespace) -> tuple[Recipe, Checkpoint, int, list[list[int]]]:
    """Return what is run on what: recipe, checkpoint, longest window, and the windows."""
    if options.tokens < 0 or options.tokens == 1:
        raise ValueError(f"--tokens must be 0 or at least 2, not {options.tokens}")
    recipe = load_recipe(options.recipe)
    documents = read_text(options.text)
    checkpoint = load(options.model)
    limit = checkpoint.config.max_positions
    context = min(1024, limit) if options.context is None else options.context
    if not 2 <= context <= limit:
        raise ValueError(f"--context must be from 2 to {limit} for this model, not {context}")
    encode = checkpoint.tokenizer.encode
    batches = list(windows(documents, encode, context, options.tokens or None))
    if not batches:
        raise ValueError(f"text {options.text} must have at least 2 tokens to predict one")
    return recipe, checkpoint, context, batches
