"""The recipes that come with the golden model, by name; nothing of them is read."""

from pathlib import Path

__all__ = ["DEFAULT_RECIPE", "FOLDER", "known_recipes", "recipes_of"]

DEFAULT_RECIPE = "auto"
"""Of all that is not asked for another one: no model needs to be calibrated for it."""
FOLDER = Path(__file__).with_name("recipes")
"""Where their files are."""


def known_recipes() -> list[str]:
    """Return the names of the recipes that come with the golden model."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipes_of(model: str) -> list[str]:
    """Return the names of those that were calibrated for a known model: NAME and NAME-…."""
    return [name for name in known_recipes() if name == model or name.startswith(f"{model}-")]
