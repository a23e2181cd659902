"""What the commands of `python -m compiler` take."""

import argparse
from pathlib import Path

from compiler.commands.options import (
    LAYERS,
    add_board,
    add_clock,
    add_coding,
    add_hardware,
    add_preset,
)
from compiler.models.known import KNOWN_MODELS
from golden.commands.options import FORMATS, add_json, add_output, add_recipe
from golden.console.parser import Command, Parser

__all__ = ["parser"]

_MODEL = f"{', '.join(KNOWN_MODELS)}, or {FORMATS}"


def parser() -> Parser:
    """Return the parser of all commands."""
    made = Parser("compiler", "The compiler of Spikeloom.")
    _add_build(made)
    _add_stored(made, "verify", "check every file of a compiled model against its checksums")
    _add_stored(made, "show", "print the program of a compiled model")
    _add_energy(made)
    _add_boards(made)
    return made


def _add_build(made: Parser) -> None:
    command = made.add_command("build", "compile layers of a trained model, or all of it")
    command.add_model(_MODEL)
    add_recipe(command)
    add = command.group("model").add_argument
    add(
        "--checkpoint",
        metavar="PATH",
        help="the weights of a named model, of the same shapes",
    )
    add(
        "--weights",
        metavar="KIND",
        help="real, synthetic, none: random ones for load tests, none for a plan (default: real, "
        "or none where a named model comes without)",
    )
    add("--seed", metavar="N", type=int, help="of synthetic weights")
    add(
        "--layers",
        metavar="LAYER,...",
        default="all",
        help=f"{LAYERS}; or all, the whole model in one program",
    )
    add_preset(command, "the named model's, or edge")
    add_board(
        command,
        "in place of a preset, what is picked for this board (python -m compiler boards), with its "
        "clock and memory",
    )
    add_hardware(command)
    add_coding(command, "csd, or what a profile says of each site")
    add = command.group("layers").add_argument
    add(
        "--tokens",
        metavar="N",
        type=int,
        help="vectors of each input (default: as many as share a weight in this hardware)",
    )
    add(
        "--rows",
        metavar="A:B",
        help="output channels of a single matrix, or how many from the first on",
    )
    add = command.group("whole model").add_argument
    add(
        "--context",
        metavar="N",
        type=int,
        help="positions (default: all that model and hardware have; halved until they fit a board)",
    )
    add(
        "--memory",
        metavar="BYTES",
        type=_bytes,
        help="that it must fit in (default: all that the hardware addresses, or a board has)",
    )
    add(
        "--devices",
        metavar="N",
        type=int,
        default=1,
        help="that share its output channels",
    )
    add(
        "--profile",
        metavar="FILE",
        help="how it spikes, from python -m golden profile: codings are chosen by it, and cycles "
        "predicted (with --board, on its memory)",
    )
    add(
        "--position",
        metavar="N",
        type=int,
        help="of the token that its report looks at (default: 1023, or the last)",
    )
    add_clock(
        command, "whole model", "that its report states times at (default: the board's, or 100)"
    )
    add_output(command, "where it goes (default: build/compiled/NAME)")
    add_json(command)


def _add_stored(made: Parser, name: str, help: str) -> None:
    command = made.add_command(name, help)
    command.add_argument("directory", metavar="DIR", help="the compiled model")
    add_preset(command, "what it is compiled for")
    add_json(command)


def _add_energy(made: Parser) -> None:
    help = "joules of a token, each count with its constant and source"
    command = made.add_command("energy", help)
    command.add_model(_MODEL)
    _add_token(command)
    add_preset(command, "the named model's, or edge")
    add_json(command)


def _add_boards(made: Parser) -> None:
    help = "which accelerator fits each board, and what it would do there"
    command = made.add_command("boards", help)
    command.add_model(_MODEL, default="smollm2-135m")
    _add_token(command)
    add_board(command, "one only (default: all)")
    add_coding(command)
    add_json(command)


def _add_token(command: Command) -> None:
    """Add the options that `compiler.commands.prediction_request` reads."""
    add_recipe(command)
    add = command.group("token").add_argument
    add("--position", metavar="N", type=int, help="of the token (default: 1023, or the last)")
    add(
        "--prompt-tokens",
        "--prompt",
        dest="prompt",
        metavar="N",
        type=int,
        help="of a prompt (default: 1024, or all that the model holds)",
    )
    add(
        "--profile",
        metavar="FILE",
        type=Path,
        help="how the model spikes, from python -m golden profile (default: as is assumed)",
    )


def _bytes(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of bytes, at least 1, not {text!r}"
        )
    return int(text)
