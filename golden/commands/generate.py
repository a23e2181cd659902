"""`python -m golden generate`."""

import argparse

from golden.checkpoint.checkpoint import load
from golden.checkpoint.prompt import prompt_ids
from golden.commands.options import prompt
from golden.console.progress import Work
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.recipe.recipe import load_recipe

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Print the prompt and, as they come, the tokens that follow it."""
    if options.tokens < 1:
        raise ValueError(f"--tokens must be at least 1, not {options.tokens}")
    asked = prompt(options)
    if asked is None:
        raise ValueError("--prompt or --prompt-ids must be given: what is to be continued")
    recipe = load_recipe(options.recipe)
    checkpoint = load(options.model)
    tokenizer, limit = checkpoint.tokenizer, checkpoint.config.max_positions
    ids = prompt_ids(checkpoint, asked)
    if len(ids) + options.tokens > limit:
        raise ValueError(
            f"--prompt and --tokens must be at most {limit} tokens for this model, not "
            f"{len(ids)} and {options.tokens}"
        )
    text = tokenizer.decode(ids)
    shown = len(text)
    with Work("preparing the weights") as work:
        model = IntegerModel(prepare(checkpoint, recipe), recipe)
        work.say(f"reading {len(ids):,} tokens of the prompt")
        for count, token in enumerate(model.stream(ids, options.tokens, tokenizer.eos_ids), 1):
            if count == 1:
                work.begin("tokens", options.tokens)
                work.write(asked if isinstance(asked, str) else text[:shown])
            work.reach(count)
            ids.append(token)
            text = tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # the beginning of a character of several tokens
                work.write(text[shown:])
                shown = len(text)
        work.write(f"{text[shown:]}\n")
