"""`python -m golden generate`."""

import argparse

from golden.checkpoint.checkpoint import load
from golden.checkpoint.prompt import prompt_ids
from golden.commands.options import MODEL, add_recipe
from golden.model.integer import IntegerModel
from golden.recipe.prepare import prepare
from golden.recipe.recipe import load_recipe

__all__ = ["add"]


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "generate",
        help="continue a text with the integer model",
        description="Continue a text as a device does: in integers, the likeliest token each time.",
    )
    parser.add_argument("--model", required=True, help=MODEL)
    parser.add_argument("--prompt", required=True, help="the text to continue")
    parser.add_argument(
        "--tokens", type=int, default=64, help="tokens to add at most (default: %(default)s)"
    )
    add_recipe(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
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
    model = IntegerModel(prepare(checkpoint, recipe), recipe)
    print(options.prompt, end="", flush=True)
    shown = len(tokenizer.decode(ids))
    for token in model.stream(ids, options.tokens, tokenizer.eos_ids):
        ids.append(token)
        text = tokenizer.decode(ids)
        if not text.endswith("\ufffd"):  # the beginning of a character of several tokens
            print(text[shown:], end="", flush=True)
            shown = len(text)
    print(text[shown:])
