"""What can be chosen: the hardware, and the recipe by which a model becomes spike-driven."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from golden.recipe.recipe import Recipe, load_recipe
from golden.recipe.settings import SiteSettings
from hw.contract.params import HwParams as Hardware
from hw.contract.presets import preset

__all__ = ["Hardware", "Recipe", "hardware", "recipe"]


def hardware(base: str | Hardware = "edge", **changes: Any) -> Hardware:
    """Return an accelerator's parameters: a preset, or one with some fields changed.

    Parameters
    ----------
    base : str or Hardware
        ``test`` (tiny, quick to simulate), ``edge`` or ``datacenter``; or parameters at hand.
    **changes
        Fields of `Hardware`, such as ``lanes=32`` or ``array="mac"``.

    Raises
    ------
    ValueError
        Naming the preset or the field that cannot be.
    """
    params = preset(base) if isinstance(base, str) else base
    if not isinstance(params, Hardware):
        raise ValueError(f"hardware must be a preset's name or Hardware, not {base!r}")
    unknown = sorted(changes.keys() - params.as_dict().keys())
    if unknown:
        names = ", ".join(params.as_dict())
        raise ValueError(f"a field of the hardware must be one of {names}, not {unknown[0]}")
    for name, value in changes.items():
        if isinstance(getattr(params, name), int):
            kind = type(getattr(params, name))
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return replace(params, **changes)


def recipe(base: str | Path | Recipe = "w8", **settings: Any) -> Recipe:
    """Return a recipe: a known one, that of a file, or one with some settings changed.

    Parameters
    ----------
    base : str, Path or Recipe
        A known recipe (``w8``, ``w4``, ``w2``, ``sparse``, …), a TOML file, or one at hand.
    **settings
        For the whole model: ``weight_bits`` (8, 4 or 2), ``max_count`` (1 to 127), ``rule``
        (``absmax``, ``mean`` or ``static``), ``clip``, ``kappa``, ``peak``, ``dead_zone``. See
        `golden.recipe.settings.SiteSettings` for each one's range.

    Raises
    ------
    ValueError
        Where there is no such recipe or setting, a value is out of its range, or the recipe has
        settings of single sites, which would go on as they are.
    """
    found = base if isinstance(base, Recipe) else load_recipe(base)
    if not settings:
        return found
    if found.sites or found.layer_sites:
        raise ValueError(
            f"recipe {found.name} has settings of single sites: change a copy of its file instead"
        )
    unknown = sorted(settings.keys() - vars(found.default).keys())
    if unknown:
        names = ", ".join(vars(found.default))
        raise ValueError(f"a setting must be one of {names}, not {unknown[0]}")
    changed = SiteSettings(**{**vars(found.default), **settings})
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    return replace(found, name=f"{found.name} with {said}", default=changed)
