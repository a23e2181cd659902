"""Options that commands of compiler and simulators take: one name, one meaning, everywhere."""

import argparse
import math
from pathlib import Path

from compiler.boards.board import boards
from golden.checkpoint.names import MATRICES
from golden.console.parser import Command
from hw.contract.isa import Coding
from hw.contract.presets import PRESETS

__all__ = ["LAYERS", "add_board", "add_clock", "add_coding", "add_hardware", "add_preset"]

LAYERS = f"mlpN, attnN, one of {' '.join(f'{name}N' for name in MATRICES)}, or lm_head"
"""What layers are called, N from 0."""


def add_preset(command: Command, default: str) -> None:
    """Add the option --preset; help says what it will be where it is left out."""
    command.group("hardware").add_argument(
        "--preset",
        metavar="PRESET",
        help=f"hardware: {', '.join(sorted(PRESETS))} (default: {default})",
    )


def add_hardware(command: Command) -> None:
    """Add the option --hardware."""
    command.group("hardware").add_argument(
        "--hardware",
        metavar="FILE",
        type=Path,
        help="in place of a preset, what spikeloom_top.json says, of python -m hw generate or soc",
    )


def add_coding(command: Command, default: str = "csd") -> None:
    """Add the option --coding; help says what it will be where it is left out."""
    codings = ", ".join(coding.name.lower() for coding in Coding)
    command.group("hardware").add_argument(
        "--coding", metavar="CODING", help=f"of spike trains: {codings} (default: {default})"
    )


def add_board(command: Command, help: str) -> None:
    """Add the option --board; `help` goes on after the boards' names."""
    command.group("hardware").add_argument(
        "--board", metavar="BOARD", help=f"{', '.join(boards())}: {help}"
    )


def add_clock(command: Command, group: str, help: str) -> None:
    """Add the option --clock, in megahertz, to a group of options."""
    command.group(group).add_argument("--clock", metavar="MHZ", type=_megahertz, help=help)


def _megahertz(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be megahertz above 0, not {text!r}")
    return value
