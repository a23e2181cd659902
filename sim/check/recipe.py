"""The recipe that a compiled directory was made by, from its manifest."""

from compiler.artifact.program import Compiled
from golden.recipe.adapter import adapter_of
from golden.recipe.fold_file import fold_of
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings

__all__ = ["recipe_of"]

_OPTIONAL = ("kappa", "peak")


def recipe_of(compiled: Compiled) -> Recipe:
    """Return the recipe that a directory is compiled by.

    Raises
    ------
    ValueError
        In one sentence, where its manifest has one that cannot be.
    """
    entry = compiled.manifest["recipe"]
    try:
        layer_sites = {}
        for name, settings in entry["layer_sites"].items():
            _, layer, site = name.split(".")
            layer_sites[int(layer), site] = _settings(settings)
        if not isinstance(entry["fold"], str | dict | None):
            raise TypeError(f"fold cannot be {entry['fold']!r}")
        return Recipe(
            name=entry["name"],
            default=_settings(entry["default"]),
            sites={site: _settings(settings) for site, settings in entry["sites"].items()},
            layer_sites=layer_sites,
            fold=fold_of(entry["fold"]),
            adapter=adapter_of(entry.get("adapter")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the recipe of {compiled.directory} cannot be used ({error}): build the model again"
        ) from None


def _settings(entry: dict[str, object]) -> SiteSettings:
    for name, value in entry.items():
        if value is None and name not in _OPTIONAL:
            raise TypeError(f"{name} cannot be None")
    return SiteSettings(**entry)
