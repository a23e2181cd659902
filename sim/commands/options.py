"""What several commands make of their options, and tell."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.device import Timing

__all__ = ["given", "refuse_fixed", "tell_failures", "timing", "where"]


def timing(options: argparse.Namespace) -> Timing:
    """Return how the memory behaves."""
    return Timing(
        latency=options.latency,
        stalls=options.stalls,
        seed=options.seed,
        memory=options.memory,
    )


def where(finished: Mapping[str, Any], path: Path) -> str:
    """Return where a report lies, the one before it, and waves, as a line."""
    parts = [f"report: {path}"]
    if previous := finished.get("previous"):
        parts.append(f"the one before: {Path(previous).relative_to(path.parent)}")
    if waves := finished.get("waves"):
        parts.append(f"waves: {Path(waves).name}")
    return "; ".join(parts)


def given(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return the values of those options that are not left out."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def refuse_fixed(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise ArgumentError where --compiled is given, and with it what is fixed by compiling."""
    if options.compiled is None:
        return
    if wrong := [f"--{name.replace('_', '-')}" for name in given(options, names)]:
        raise argparse.ArgumentError(
            None, f"{', '.join(wrong)}: what is compiled in {options.compiled} stands"
        )


def tell_failures(options: argparse.Namespace, finished: Mapping[str, Any]) -> None:
    """Print what a report says went wrong, each with the seed where there is one."""
    seed = "" if finished["seed"] is None else f" (seed {finished['seed']})"
    for failure in finished["failures"]:
        print(f"{options.program}: {failure}{seed}", file=sys.stderr)
