"""What several commands take, and show."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from golden.checkpoint import fetch
from golden.checkpoint.checkpoint import Checkpoint, load
from golden.measure.perplexity import read_text, windows
from golden.recipe.recipe import Recipe, known_recipes, load_recipe

__all__ = ["MODEL", "add_recipe", "add_windows", "progress_bar", "read_windows", "require_place"]

MODEL = (
    f"{', '.join(fetch.KNOWN)}, or the path of a Hugging Face directory, a .gguf or a "
    "llama2.c .bin file"
)
"""What a model may be named by."""


def add_windows(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read_windows` reads."""
    parser.add_argument("--model", required=True, help=MODEL)
    parser.add_argument("--text", required=True, type=Path, help="a UTF-8 text file")
    parser.add_argument(
        "--tokens",
        type=int,
        default=4096,
        help="tokens of the text to use, from its start; 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--context",
        type=int,
        help="tokens of a window (default: 1024, or what the model holds if that is less)",
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the option --recipe."""
    parser.add_argument(
        "--recipe",
        default="w8",
        help=f"{', '.join(known_recipes())}, or a TOML file (default: %(default)s)",
    )


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


def require_place(path: Path, option: str) -> None:
    """Refuse, before any work is done for it, an output that cannot be a file there."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option} must lie in a directory that exists, not {path}")
    if path.is_dir():
        raise ValueError(f"{option} must be a file, and {path} is a directory")


def progress_bar(amount: MofNCompleteColumn | DownloadColumn) -> Progress:
    """Return a progress bar on stderr, silent where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
