"""`python -m golden generate`."""

import argparse
from itertools import chain

from golden.checkpoint.checkpoint import load
from golden.checkpoint.prompt import prompt_ids
from golden.console.progress import Work
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.recipe.recipe import load_recipe

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Print the prompt and, as they come, the tokens that follow it."""
    if options.tokens < 1:
        raise ValueError(f"--tokens must be at least 1, not {options.tokens}")
    recipe = load_recipe(options.recipe)
    checkpoint = load(options.model)
    tokenizer, limit = checkpoint.tokenizer, checkpoint.config.max_positions
    ids = prompt_ids(checkpoint, options.prompt)
    if len(ids) + options.tokens > limit:
        raise ValueError(
            f"--prompt and --tokens must be at most {limit} tokens for this model, not "
            f"{len(ids)} and {options.tokens}"
        )
    shown, text = len(tokenizer.decode(ids)), tokenizer.decode(ids)
    with Work("preparing the weights") as work:
        model = IntegerModel(prepare(checkpoint, recipe), recipe)
        work.say(f"reading {len(ids):,} tokens of the prompt")
        tokens = model.stream(ids, options.tokens, tokenizer.eos_ids)
        first = next(tokens, None)
    print(options.prompt, end="", flush=True)
    for token in () if first is None else chain([first], tokens):
        ids.append(token)
        text = tokenizer.decode(ids)
        if not text.endswith("\ufffd"):  # the beginning of a character of several tokens
            print(text[shown:], end="", flush=True)
            shown = len(text)
    print(text[shown:])
