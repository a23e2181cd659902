"""What two runs have apart: options, counters, what follows from them, and outputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.console.archive import read_archive
from hw.contract.params import FRACTION_BITS
from hw.contract.regs import COUNTERS
from sim.runs.place import OUTPUTS, REPORT

__all__ = ["Comparison", "Finding", "compare"]

_OPTIONS = (
    "model", "layer", "preset", "array", "skip_silent", "coding", "recipe", "context", "device",
    "seed", "memory", "latency", "stalls", "prompt", "prompt_tokens", "clock_mhz", "weights",
    "fingerprint", "version", "commit",
)  # fmt: skip
"""What a report says of how it came about, with defaults as they took effect."""
_ELSEWHERE = ("no_skip",)
"""Entries of the request that the report has by another name."""
_FIGURES = ("cycles_per_position", "addition_cost_cycles", "silent_share")
_ENERGY = ("joules", "memory_joules")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that two runs have apart.

    Attributes
    ----------
    kind : str
        ``option``, ``counter``, ``figure`` or ``output``.
    name : str
        Of it, as in the report; of an output, its region.
    a, b : object
        What either has; of an output, its first value that differs, or its shape.
    difference : float or None
        Of numbers, b less a; of an output, the largest of an element, as a real number.
    elements : int or None
        Of an output, how many differ.
    """

    kind: str
    name: str
    a: Any
    b: Any
    difference: float | None = None
    elements: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs beside each other.

    Attributes
    ----------
    options : list of Finding
        What was asked for otherwise.
    results : list of Finding
        What came out otherwise, as far as both know it.
    compared : int
        Figures and outputs that both know.
    """

    options: list[Finding]
    results: list[Finding]
    compared: int

    @property
    def same(self) -> bool:
        """Whether nothing came out otherwise."""
        return not self.results


def compare(a: Path, b: Path) -> Comparison:
    """Compare two runs, each the directory of one or its report.

    Raises
    ------
    ValueError
        In one sentence, where there is no report, it is none, or they have nothing in common.
    """
    first, second = _report(a), _report(b)
    options = _options(first, second)
    results, compared = _figures(first, second)
    outputs, common = _outputs(a, b)
    results += outputs
    compared += common
    if "tokens" in first and isinstance(first["tokens"], list) and "tokens" in second:
        compared += 1
        results += _tokens(first["tokens"], second["tokens"])
    if not compared:
        raise ValueError(f"{a} and {b} have nothing in common: name two runs of sim")
    return Comparison(options=options, results=results, compared=compared)


def _options(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Finding]:
    """Compare what took effect, as the reports say it, and what else was asked for."""
    found = []
    requests = [report.get("request") or {} for report in (first, second)]
    for name in dict.fromkeys((*_OPTIONS, *requests[0], *requests[1])):
        a, b = first.get(name), second.get(name)
        if name not in _OPTIONS or (name == "model" and a == b and all(requests)):
            a, b = (request.get(name) for request in requests)
        if a != b and name not in _ELSEWHERE:
            found.append(Finding(kind="option", name=name, a=a, b=b))
    return found


def _directory(run: Path) -> Path:
    return run if run.is_dir() else run.parent


def _report(run: Path) -> dict[str, Any]:
    path = run / REPORT if run.is_dir() else run
    try:
        report = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"there is no run {run}: name the directory of one, or its report"
        ) from None
    except (ValueError, OSError):
        report = None
    if not isinstance(report, dict) or "device" not in report:
        raise ValueError(f"{path} is no report of a run: name one of sim run or sim generate")
    return report


def _figures(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[list[Finding], int]:
    """Compare numbers that both know; joules only where both count memory's bytes alike."""
    found, compared = [], 0
    counters = [report.get("counters", report) for report in (first, second)]
    energy = [(report.get("energy") or {}).get("dram_bytes_are") for report in (first, second)]
    figures = (*_FIGURES, *(_ENERGY if energy[0] == energy[1] else ()))
    for kind, names, (ours, theirs) in (
        ("counter", COUNTERS, counters),
        ("figure", figures, (first, second)),
    ):
        for name in names:
            a, b = ours.get(name), theirs.get(name)
            if a is None or b is None:
                continue
            compared += 1
            if a != b:
                found.append(Finding(kind=kind, name=name, a=a, b=b, difference=b - a))
    return found, compared


def _tokens(ours: Any, theirs: Any) -> list[Finding]:
    if ours == theirs:
        return []
    if not isinstance(theirs, list):
        return [Finding(kind="output", name="tokens", a=ours, b=theirs)]
    pairs = list(zip(ours, theirs, strict=False))
    differ = [at for at, (a, b) in enumerate(pairs) if a != b]
    number = len(differ) + abs(len(ours) - len(theirs))
    at = differ[0] if differ else len(pairs)
    return [
        Finding(
            kind="output",
            name=f"tokens, from number {at + 1}",
            a=ours[at] if at < len(ours) else None,
            b=theirs[at] if at < len(theirs) else None,
            elements=number,
        )
    ]


def _outputs(a: Path, b: Path) -> tuple[list[Finding], int]:
    """Compare the outputs of layers that both have kept."""
    paths = [_directory(run) / OUTPUTS for run in (a, b)]
    if not all(path.exists() for path in paths):
        return [], 0
    try:
        ours, theirs = map(read_archive, paths)
    except (ValueError, OSError):
        raise ValueError(f"{paths[0]} or {paths[1]} is damaged: run it again") from None
    found, common = [], 0
    for name in ours.keys() & theirs.keys():
        common += 1
        x, y = ours[name].astype(np.int64), theirs[name].astype(np.int64)
        if x.shape != y.shape:
            found.append(Finding(kind="output", name=name, a=str(x.shape), b=str(y.shape)))
        elif (differ := np.argwhere(x != y)).size:
            at = tuple(map(int, differ[0]))
            found.append(
                Finding(
                    kind="output",
                    name=f"{name}, from token {at[0]}, channel {at[1]}",
                    a=int(x[at]),
                    b=int(y[at]),
                    difference=float(np.abs(x - y).max()) / (1 << FRACTION_BITS),
                    elements=len(differ),
                )
            )
    return sorted(found, key=lambda finding: finding.name), common
