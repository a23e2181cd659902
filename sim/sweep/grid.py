"""The grid of a sweep: values by parameter, and the configurations that they span."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from hw.contract.params import HwParams

__all__ = ["AXES", "Configuration", "configurations", "parse"]

_HARDWARE = tuple(field.name for field in fields(HwParams) if field.name != "weight_widths")
AXES = (*_HARDWARE, "coding", "recipe")
"""What may vary: parameters of the hardware, the coding of the spikes, the recipe."""

_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One point of the grid, which need not be possible.

    Attributes
    ----------
    hardware : dict of str to object
        As of `HwParams.as_dict`.
    coding, recipe : str
        Names.
    """

    hardware: dict[str, Any]
    coding: str
    recipe: str

    def params(self) -> HwParams:
        """Return the hardware; raises ValueError where there is none like that."""
        return HwParams.from_dict(self.hardware)


def parse(axes: Iterable[str]) -> dict[str, list]:
    """Return the values of each axis, from texts such as ``lanes=32,64``.

    Raises
    ------
    ValueError
        In one sentence, where a text is none, or names no axis, or one twice.
    """
    grid: dict[str, list] = {}
    for text in axes:
        name, equals, values = text.partition("=")
        if not equals or not all(value.strip() for value in values.split(",")):
            raise ValueError(
                f"an axis of the grid must be like lanes=32,64, that is NAME=VALUE,…, not {text!r}"
            )
        if name not in AXES:
            raise ValueError(f"an axis of the grid must be one of {', '.join(AXES)}, not {name!r}")
        if name in grid:
            raise ValueError(f"{name} is in the grid twice: give all its values at once")
        grid[name] = list(dict.fromkeys(_value(name, v.strip()) for v in values.split(",")))
    if not grid:
        raise ValueError("the grid is empty: give it an axis, such as lanes=32,64")
    return grid


def _value(name: str, text: str) -> object:
    if name in ("coding", "recipe", "array"):
        return text
    if name in ("skip_silent", "grouped"):
        if text not in _BOOLEANS:
            raise ValueError(f"{name} must be true or false, not {text!r}")
        return _BOOLEANS[text]
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {text!r}") from None


def configurations(
    base: HwParams, grid: Mapping[str, Sequence], coding: str, recipe: str
) -> list[Configuration]:
    """Return every combination, the last axis varying fastest.

    Parameters
    ----------
    base : HwParams
        What is not in the grid.
    grid : mapping of str to sequence
        Of `parse`.
    coding, recipe : str
        Where they are not in the grid.
    """
    found = []
    for values in product(*grid.values()):
        chosen = {"coding": coding, "recipe": recipe} | dict(zip(grid, values, strict=True))
        of_run = {name: chosen.pop(name) for name in ("coding", "recipe")}
        found.append(Configuration(hardware=base.as_dict() | chosen, **of_run))
    return found
