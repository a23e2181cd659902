"""Options that commands of several packages take: one name, one meaning, everywhere."""

import argparse
from pathlib import Path

from golden.checkpoint import fetch
from golden.console.parser import Command
from golden.recipe.known import DEFAULT_RECIPE, known_recipes

__all__ = [
    "FORMATS",
    "MODEL",
    "add_json",
    "add_output",
    "add_prompt",
    "add_recipe",
    "prompt",
    "require_place",
]

FORMATS = "the path of a Hugging Face directory, a .gguf or a llama2.c .bin file"
"""The checkpoints that can be read."""

MODEL = f"{', '.join(fetch.KNOWN)}, or {FORMATS}"
"""What a model with weights may be named by."""


def add_recipe(command: Command, default: str | None = DEFAULT_RECIPE) -> None:
    """Add the option --recipe; without a default of its own, help says what it will be."""
    said = "" if default else f" (default: {DEFAULT_RECIPE})"
    command.group("model").add_argument(
        "--recipe",
        metavar="RECIPE",
        default=default,
        help=f"{', '.join(known_recipes())}, or a TOML file{said}",
    )


def add_output(
    command: Command, help: str, *, required: bool = False, metavar: str = "DIR"
) -> None:
    """Add the option --output, a path."""
    command.group("output").add_argument(
        "-o", "--output", metavar=metavar, type=Path, required=required, help=help
    )


def add_json(command: Command) -> None:
    """Add the option --json."""
    command.group("output").add_argument(
        "--json", action="store_true", help="print one JSON object in place of text and tables"
    )


def add_prompt(command: Command, help: str, group: str = "run") -> None:
    """Add the options that `prompt` reads."""
    add = command.group(group).add_argument
    add("--prompt", metavar="TEXT", help=help)
    add("--prompt-ids", metavar="N,...", help="its tokens in place of the text")


def prompt(options: argparse.Namespace) -> str | list[int] | None:
    """Return the prompt: a text, its tokens, or None where neither is given.

    Raises
    ------
    ValueError
        Where both are given, or what is given are no tokens.
    """
    if options.prompt_ids is None:
        return options.prompt
    if options.prompt is not None:
        raise ValueError("--prompt and --prompt-ids are one too many: give the text or its tokens")
    try:
        return [int(word) for word in options.prompt_ids.split(",")]
    except ValueError:
        raise ValueError(
            f"--prompt-ids must be whole numbers such as 1,2,3, not {options.prompt_ids!r}"
        ) from None


def require_place(path: Path, option: str) -> None:
    """Refuse, before any work is done for it, an output that cannot be a file there."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option} must lie in a directory that exists, not {path}")
    if path.is_dir():
        raise ValueError(f"{option} must be a file, and {path} is a directory")
