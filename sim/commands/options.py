"""What several commands take, and tell."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from hw.contract.presets import PRESETS

__all__ = [
    "add_model",
    "add_timing",
    "given",
    "refuse_fixed",
    "tell_failures",
    "timing",
    "work_bar",
]


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the options that say what is compiled, and for which hardware."""
    add = command.add_argument
    add("--model", metavar="M", help="a known name or a checkpoint (default: smollm2-135m)")
    add("--preset", metavar="P", help=f"hardware: {', '.join(PRESETS)} (default: edge)")
    add("--coding", metavar="C", help="unary, bitwise or csd (default: csd)")
    add("--recipe", metavar="R", help="a known recipe or a TOML file (default: w8)")


def add_timing(command: argparse.ArgumentParser) -> None:
    """Add the options that `timing` reads."""
    add = command.add_argument
    add("--seed", metavar="N", type=int, default=0, help="of the random stalls (default: 0)")
    add("--latency", metavar="N", type=int, default=60, help="of the memory, cycles (default: 60)")
    add(
        "--stalls",
        metavar="P",
        type=float,
        default=0.0,
        help="probability that a channel of the bus is held off in a cycle (default: 0)",
    )


def work_bar(*columns: ProgressColumn) -> Progress:
    """Return a bar of work on stderr, with columns beside those of all; silent in a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def timing(options: argparse.Namespace):
    """Return how the memory behaves, a `sim.rtl.device.Timing`."""
    from sim.device import Timing  # imports of seconds

    return Timing(latency=options.latency, stalls=options.stalls, seed=options.seed)


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


def tell_failures(finished: Mapping[str, Any]) -> None:
    """Print what a report says went wrong, each with the seed."""
    for failure in finished["failures"]:
        print(f"python -m sim: {failure} (seed {finished['seed']})", file=sys.stderr)
