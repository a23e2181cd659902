"""What a compiled directory was made from: its checkpoint, and its recipe."""

from collections.abc import Callable
from typing import Any

from compiler.artifact.program import Compiled
from compiler.models.origin import checksum
from golden.checkpoint import checkpoint as checkpoints
from golden.checkpoint.interface import Checkpoint
from golden.recipe.adapter import adapter_of
from golden.recipe.exponents import exponents_of
from golden.recipe.fold_file import fold_of
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings

__all__ = ["checkpoint_of", "load_checkpoint", "recipe_of", "require_weights"]

Say = Callable[[str], None]

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
            exponents=exponents_of(entry.get("exponents")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the recipe of {compiled.directory} cannot be used ({error}): build the model again"
        ) from None


def _settings(entry: dict[str, Any]) -> SiteSettings:
    for name, value in entry.items():
        if value is None and name not in _OPTIONAL:
            raise TypeError(f"{name} cannot be None")
    return SiteSettings(**entry)


def checkpoint_of(compiled: Compiled, model: str | None, say: Say) -> Checkpoint:
    """Return the checkpoint that a directory is compiled from; `model` names it if it must be."""
    manifest = compiled.manifest
    if manifest["weights"] != "real":
        raise ValueError(
            f"{compiled.directory} must be compiled from a trained model, and its weights are "
            f"{manifest['weights']}"
        )
    checkpoint = load_checkpoint(model or manifest["model"]["name"], say)
    if checkpoint.config.name != manifest["model"]["name"]:
        raise ValueError(
            f"{compiled.directory} is compiled from {manifest['model']['name']}, not from "
            f"{checkpoint.config.name}: name its checkpoint with --model"
        )
    require_weights(compiled, checkpoint)
    return checkpoint


def require_weights(compiled: Compiled, checkpoint: Checkpoint) -> None:
    """Raise ValueError where a directory is compiled from other weights than a checkpoint's."""
    manifest = compiled.manifest
    matrices = [step for step in manifest["operations"] if step["operation"] == "MATMUL"]
    parts = [(step["matrix"], step["first_row"], step["outputs"]) for step in matrices]
    if checksum(checkpoint, parts) != manifest.get("checkpoint"):
        raise ValueError(
            f"{compiled.directory} is compiled from other weights than those of {checkpoint.path} "
            "(their checksums differ): name its own checkpoint with --model"
        )


def load_checkpoint(model: str, say: Say) -> Checkpoint:
    """Open a checkpoint, which may have to be fetched."""
    say(f"loading {model}")

    def fetched(done: int, total: int) -> None:
        if done < total:
            say(f"fetching {model}: {done >> 20} of {total >> 20} MiB")
        else:
            say(f"checking {model}")

    checkpoint = checkpoints.load(model, fetched)
    say(f"{model} is loaded")
    return checkpoint
