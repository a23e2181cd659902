"""Which hardware is asked for: a preset, a board's or a program's, and what is set otherwise."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hw.contract.boards import BoardHardware, board_hardware
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["MANIFEST", "SETTINGS", "Choice", "choose", "settings_between"]

MANIFEST = "manifest.json"
"""File of a compiled directory that says which hardware it is for."""
SETTINGS = tuple(field.name for field in fields(HwParams))
"""What can be set."""
_WORDS = {"array": str, "skip_silent": bool}  # all others are numbers
_CLOCK_MHZ = 100.0  # where neither a board nor the request says
_SLOWEST_MHZ, _FASTEST_MHZ = 1, 1000  # that constraints are written for
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Hardware to generate.

    Attributes
    ----------
    params : HwParams
        Its dimensions.
    origin : str
        What they are from, in words.
    clock_mhz : float
        That constraints ask for.
    board : BoardHardware or None
        What it is for, where that is known.
    layers : Path or None
        A compiled directory of layers that runs on it as it is, where one was named.
    """

    params: HwParams
    origin: str
    clock_mhz: float
    board: BoardHardware | None
    layers: Path | None = None

    @property
    def fingerprint(self) -> str:
        """What programs for it bear too, in hex."""
        return fingerprint(self.params)


def choose(
    *,
    named: str | None = None,
    board: str | None = None,
    compiled: Path | None = None,
    settings: Sequence[str] = (),
    clock_mhz: float | None = None,
) -> Choice:
    """Return the hardware of at most one of a preset, a board and a compiled directory.

    Parameters
    ----------
    named, board : str, optional
        A preset or a board; without both, and without `compiled`, the preset ``edge``.
    compiled : Path, optional
        A directory of ``python -m compiler build``.
    settings : sequence of str
        ``NAME=VALUE`` for each parameter that is to be another.
    clock_mhz : float, optional
        By default the board's, or 100.

    Raises
    ------
    ValueError
        In one sentence, where a name is not known, a value not one, or a directory not compiled.
    """
    of = None if board is None else board_hardware(board)
    layers = None
    if compiled is not None:
        base, kind = _compiled_for(compiled)
        origin = f"the program in {compiled.resolve().name}"
        layers = compiled if kind == "layers" and not settings else None
    elif of is not None:
        base, origin = of.params, f"board {board}"
    else:
        named = "edge" if named is None else named
        base, origin = preset(named), f"preset {named}"
    if settings:
        changes = [_setting(text) for text in settings]
        names = [name for name, _ in changes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"--set must name {twice} once, not twice")
        base = replace(base, **dict(changes))
        origin = f"{origin}, {', '.join(settings)}"
    clock = clock_mhz or (of.clock_mhz if of else _CLOCK_MHZ)
    if not _SLOWEST_MHZ <= clock <= _FASTEST_MHZ:
        raise ValueError(f"the clock must be {_SLOWEST_MHZ} to {_FASTEST_MHZ} MHz, not {clock:g}")
    return Choice(params=base, origin=origin, clock_mhz=clock, board=of, layers=layers)


def settings_between(params: HwParams, base: HwParams) -> list[str]:
    """Return the settings that make of `base` the hardware of `params`."""
    wanted, there = params.as_dict(), base.as_dict()
    return [f"{name}={_text(wanted[name])}" for name in SETTINGS if wanted[name] != there[name]]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set takes NAME=VALUE, such as lanes=32, not {text!r}")
    if name not in SETTINGS:
        raise ValueError(f"--set knows {', '.join(SETTINGS)}, not {name!r}")
    kind = _WORDS.get(name, int)
    try:
        if kind is bool:
            return name, _TRUTH[value.lower()]
        if name == "weight_widths":
            return name, tuple(int(width) for width in value.split(","))
        if kind is int and not value.isdecimal():  # `int` takes blanks and underscores too
            raise ValueError
        return name, kind(value)
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else "a whole number"
        if name == "weight_widths":
            wanted = "whole numbers with commas between, such as 8,4,2"
        raise ValueError(f"{name} must be {wanted}, not {value!r}") from None


def _compiled_for(directory: Path) -> tuple[HwParams, str]:
    """Return the hardware that a compiled directory is for, and its kind, from its manifest."""
    file = directory / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{directory} has no {MANIFEST}: name a directory of python -m compiler build"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}): build the model again") from None
    try:
        params = HwParams.from_dict(manifest["params"])
        own, kind = manifest["fingerprint"], manifest["kind"]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} does not say which hardware it is for ({error!r}): build the model again"
        ) from None
    if own != fingerprint(params):
        raise ValueError(
            f"{directory} is compiled for hardware {own}, but this version makes "
            f"{fingerprint(params)} of its parameters: build the model again"
        )
    return params, kind
