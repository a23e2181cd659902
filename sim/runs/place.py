"""Where a run leaves what it found: a directory of its own, which no other request takes over."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from compiler.storage import lock
from golden.console import places
from golden.console.version import about
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.presets import PRESETS
from sim.rtl.verilog import tool_versions

__all__ = [
    "DIVERGENCE",
    "LOCK",
    "OUTPUTS",
    "OUTPUT_ROOT",
    "PREVIOUS",
    "REPORT",
    "RUN",
    "Place",
    "alone",
    "file_name",
    "hardware_names",
    "place_of",
    "preset_name",
    "retire",
    "taken",
    "write_json",
]

OUTPUT_ROOT = places.outputs("sim")
"""Where runs go, by model and layer."""

LOCK = ".lock"
"""What `alone` leaves in a directory."""

RUN, REPORT, PREVIOUS = "run.json", "report.json", "report.previous.json"
"""What was asked for, what came of it, and what had come of it the time before."""

DIVERGENCE = "diverge.json"
"""In place of `REPORT`, where two devices were compared."""

OUTPUTS = "outputs.npz"
"""Of layers, the vectors that came out, by region."""


@dataclass(frozen=True)
class Place:
    """A directory that a run has for itself.

    Attributes
    ----------
    directory : Path
        Of the report and all else.
    run : dict
        What ``run.json`` in it says.
    aside : Path or None
        Where what another request had left there is kept.
    """

    directory: Path
    run: dict[str, Any]
    aside: Path | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What a report says of it; ``previous`` is where an older report is kept, if any."""
        previous = self.directory / PREVIOUS
        if self.aside is not None and not previous.exists():
            previous = self.aside / REPORT
        return {**self.run, "previous": str(previous) if previous.exists() else None}


def place_of(model: str, layer: str, *choices: str) -> Path:
    """Return where a run of a model's layer goes, named by its choices, such as edge-csd-w8-rtl."""
    named = "-".join(filter(None, choices))
    return OUTPUT_ROOT / file_name(model) / file_name(layer) / file_name(named)


@contextmanager
def taken(
    place: Path, request: Mapping[str, Any], *, command: str | None = None, fixed: bool = False
) -> Iterator[Place]:
    """Take a directory for a run, and keep all others out.

    It holds ``run.json`` from then on: the request, the command, version, commit and time. An older
    report is kept beside as ``report.previous.json``: no run that breaks off stands there as good.
    Nothing is left of a run that is refused, and one that broke off without a report frees its
    place.

    Parameters
    ----------
    place : Path
        The directory. Where it is another request's, a number is added: place.2, place.3 and so on.
    request : mapping
        JSON values: all that the results depend on.
    command : str, optional
        The command line that asks for it, for ``run.json``.
    fixed : bool
        Whether it is to be `place` whoever was there: what another request had left is moved into
        ``earlier.1`` below it, ``earlier.2`` and so on.
    """
    asked = json.loads(json.dumps(request))
    for number in count(1):
        own = place if number == 1 else place.with_name(f"{place.name}.{number}")
        with _gone_if_refused(own), alone(own):
            retired, aside = _asked(own) not in (None, asked), None
            if retired and not fixed:
                continue
            retire(own)
            if retired:
                aside = _set_aside(own)
            run = {
                "request": asked,
                "command": command,
                **about(),
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "versions": tool_versions() | {name: version(name) for name in _LIBRARIES},
            }
            write_json(run, own / RUN)
            yield Place(own, run, aside)
            return


_LIBRARIES = ("numpy", "torch")


@contextmanager
def _gone_if_refused(own: Path) -> Iterator[None]:
    """Remove what a block has made of a directory, should it end in ValueError: a refusal."""
    new = [path for path in (own, *own.parents) if not path.exists()]
    files = [path for path in (own / LOCK, own / RUN) if not path.exists()]
    try:
        yield
    except ValueError:
        for path in files:
            path.unlink(missing_ok=True)
        if own in new:
            shutil.rmtree(own, ignore_errors=True)
        for path in new[1:]:
            try:
                path.rmdir()
            except OSError:
                break  # another run has come
        raise


def retire(place: Path) -> None:
    """Set an older report aside, before the request that follows it can be refused."""
    try:
        (place / REPORT).replace(place / PREVIOUS)
    except FileNotFoundError:
        pass


def _set_aside(place: Path) -> Path:
    """Move what a run has left into a new directory below its own; all but what is compiled."""
    aside = next(path for number in count(1) if not (path := place / f"earlier.{number}").exists())
    aside.mkdir()
    names = {RUN: RUN, PREVIOUS: REPORT, OUTPUTS: OUTPUTS, DIVERGENCE: DIVERGENCE}
    names |= {path.name: path.name for path in place.glob("waves.*")}
    for old, new in names.items():
        if (place / old).exists():
            (place / old).replace(aside / new)
    return aside


def _asked(place: Path) -> dict[str, Any] | None:
    """Return the request whose results a directory has; None where there are none."""
    if not any(path.name != RUN for path in place.glob("*.json")):
        return None
    try:
        return json.loads((place / RUN).read_text())["request"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(values, indent=1) + "\n")
    part.replace(path)


def alone(directory: Path) -> AbstractContextManager[None]:
    """Wait until no other run works in `directory`, and keep others out."""
    return lock.alone(directory / LOCK)


def file_name(name: str) -> str:
    """Return a model's or a layer's name as one that any file system takes."""
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "-"


def preset_name(params: HwParams) -> str | None:
    """Return the preset whose parameters these are, but for what makes it an opponent."""
    usual = _usual(params)
    return next((name for name, known in PRESETS.items() if _usual(known) == usual), None)


def _usual(params: HwParams) -> HwParams:
    return replace(params, array="spike", skip_silent=True)


def hardware_names(params: HwParams) -> Sequence[str]:
    """Return what stands for hardware in a place's name: a preset, and what sets it apart."""
    return (
        preset_name(params) or fingerprint(params)[:12],
        "" if params.array == "spike" else params.array,
        "" if params.skip_silent else "noskip",
    )
