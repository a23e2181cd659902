"""What `python -m compiler build` takes."""

import argparse
from pathlib import Path

from compiler.boards.board import board_called, boards
from compiler.models.known import NAMED
from compiler.models.request import WEIGHTS
from compiler.passes.lower import LAYER_KINDS
from compiler.programs.layers import coding_names
from compiler.programs.model import ALL_LAYERS
from golden.recipe.recipe import known_recipes
from hw.contract.presets import PRESETS

__all__ = ["OUTPUT_ROOT", "add_options", "require_one_hardware"]

OUTPUT_ROOT = Path("build/compiled")
"""Where a model goes, under its name, unless another directory is asked for."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument(
        "model",
        help=f"one of {', '.join(NAMED)}, or a checkpoint: a Hugging Face "
        "directory, a .gguf file or a llama2.c .bin file",
    )
    command.add_argument(
        "--checkpoint", metavar="PATH", help="the weights of a named model, of the same shapes"
    )
    command.add_argument(
        "--weights",
        metavar="W",
        help=f"{', '.join(WEIGHTS)}: random ones for load tests, none for a plan (default: real, "
        "or none where a named model comes without)",
    )
    command.add_argument("--seed", type=int, metavar="N", help="of synthetic weights")
    command.add_argument(
        "--layers",
        default=ALL_LAYERS,
        metavar="L[,L...]",
        help=f"{', '.join(f'{kind}N' for kind in LAYER_KINDS)} or lm_head; or {ALL_LAYERS}, the "
        f"whole model in one program (default: {ALL_LAYERS})",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help=f"where it goes (default: {OUTPUT_ROOT}/NAME)",
    )
    command.add_argument(
        "--preset", help=f"hardware: {', '.join(PRESETS)} (default: the named model's, or edge)"
    )
    command.add_argument(
        "--board",
        metavar="B",
        help=f"{', '.join(boards())}: in place of a preset, what is picked for this board (python "
        "-m compiler boards), with its clock and memory",
    )
    command.add_argument(
        "--recipe",
        default="w8",
        help=f"{', '.join(known_recipes())} or a TOML file (default: w8)",
    )
    command.add_argument(
        "--coding",
        help=f"{', '.join(coding_names())} (default: csd, or what a profile says of each site)",
    )
    command.add_argument(
        "--tokens",
        type=int,
        metavar="M",
        help="vectors of each input (default: as many as share a weight in this hardware)",
    )
    command.add_argument(
        "--rows",
        metavar="A:B",
        help="output channels of a single matrix, or how many from the first on",
    )
    command.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="positions of a whole model (default: all that model and hardware have; halved until "
        "they fit a board)",
    )
    command.add_argument(
        "--memory",
        type=_bytes,
        metavar="BYTES",
        help="that a whole model must fit in (default: all that the hardware addresses, or a board "
        "has)",
    )
    command.add_argument(
        "--devices",
        type=int,
        metavar="N",
        default=1,
        help="that share a whole model's output channels (default: 1)",
    )
    command.add_argument(
        "--profile",
        metavar="FILE",
        help="how a whole model spikes, from python -m golden profile: codings are chosen by "
        "it, and cycles predicted (with --board, on its memory)",
    )
    command.add_argument(
        "--position",
        type=int,
        metavar="P",
        help="of the token that a whole model's report looks at (default: 1023, or the last)",
    )


def _bytes(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of bytes, at least 1, not {text!r}"
        )
    return int(text)


def require_one_hardware(options: argparse.Namespace) -> None:
    """Raise ValueError where hardware is asked for twice, or as a board that is not known."""
    if options.board is None:
        return
    if options.preset is not None:
        raise ValueError("--preset must be left out: --board picks the hardware")
    board_called(options.board)
