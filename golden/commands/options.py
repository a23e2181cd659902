"""Options that commands of several packages take: one name, one meaning, everywhere."""

from pathlib import Path

from golden.checkpoint import fetch
from golden.console.parser import Command
from golden.recipe.known import known_recipes

__all__ = ["FORMATS", "MODEL", "add_json", "add_output", "add_recipe", "require_place"]

FORMATS = "the path of a Hugging Face directory, a .gguf or a llama2.c .bin file"
"""The checkpoints that can be read."""

MODEL = f"{', '.join(fetch.KNOWN)}, or {FORMATS}"
"""What a model with weights may be named by."""


def add_recipe(command: Command, default: str | None = "w8") -> None:
    """Add the option --recipe; without a default of its own, help says what it will be."""
    said = "" if default else " (default: w8)"
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


def require_place(path: Path, option: str) -> None:
    """Refuse, before any work is done for it, an output that cannot be a file there."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option} must lie in a directory that exists, not {path}")
    if path.is_dir():
        raise ValueError(f"{option} must be a file, and {path} is a directory")
