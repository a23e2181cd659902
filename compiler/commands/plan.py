"""The commands ``energy`` and ``boards`` of `python -m compiler`."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from compiler.boards.board import board_called, boards
from compiler.boards.report import boards_report
from compiler.energy.ledger import GROUPS
from compiler.energy.report import energy_report
from compiler.models.known import NAMED
from compiler.models.request import request
from compiler.predict.activity import CODING
from compiler.programs.layers import check_coding, coding_names
from golden.checkpoint.checkpoint import load
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.measure.profile_file import load_profile
from golden.recipe.recipe import Recipe, known_recipes, load_recipe
from hw.contract.presets import PRESETS, preset

__all__ = ["register"]

_TABLE_WIDTH = 120


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands to the parser."""
    for name, run, purpose in (
        ("energy", _energy, "joules of a token, each count with its constant and source"),
        ("boards", _boards, "which accelerator fits each board, and what it would do there"),
    ):
        command = commands.add_parser(name, help=purpose)
        optional = {"nargs": "?", "default": "smollm2-135m"} if name == "boards" else {}
        command.add_argument(
            "model",
            metavar="MODEL",
            help=f"one of {', '.join(NAMED)}, or the path of a checkpoint",
            **optional,
        )
        command.add_argument(
            "--recipe",
            default="w8",
            help=f"{', '.join(known_recipes())} or a TOML file (default: w8)",
        )
        command.add_argument(
            "--position", type=int, default=1023, metavar="N", help="of the token (default: 1023)"
        )
        command.add_argument(
            "--prompt", type=int, default=1024, metavar="N", help="tokens of it (default: 1024)"
        )
        command.add_argument(
            "--profile",
            metavar="FILE",
            type=Path,
            help="how the model spikes, from python -m golden profile (default: as is assumed)",
        )
        if name == "energy":
            command.add_argument(
                "--preset", help=f"hardware: {', '.join(PRESETS)} (default: the model's)"
            )
        else:
            command.add_argument(
                "--board", metavar="B", help=f"one only: {', '.join(boards())} (default: all)"
            )
            command.add_argument(
                "--coding", default=CODING, help=f"{', '.join(coding_names())} (default: {CODING})"
            )
        command.set_defaults(run=run)


def _config(options: argparse.Namespace) -> ModelConfig:
    named = NAMED.get(options.model)
    if named is None and not Path(options.model).exists():
        raise ValueError(
            f"there is no model {options.model}: name one of {', '.join(NAMED)}, or a checkpoint"
        )
    config = named.config if named is not None else load(options.model).config
    for name, least in (("position", 0), ("prompt", 1)):
        value, most = getattr(options, name), config.max_positions - 1 + least
        if not least <= value <= most:
            raise ValueError(f"--{name} must be {least} to {most} for {config.name}, not {value}")
    return config


def _profile(options: argparse.Namespace, recipe: Recipe) -> Profile | None:
    """Return the profile that is asked for, if it is of the model and the recipe."""
    if options.profile is None:
        return None
    profile, checkpoint = load_profile(options.profile), request(options.model).checkpoint
    if checkpoint is None:
        raise ValueError(
            f"--profile must be left out: {options.model} has no weights that it could be of"
        )
    profile.identity.require(checkpoint, recipe)
    return profile


def _energy(options: argparse.Namespace) -> None:
    config, recipe = _config(options), load_recipe(options.recipe)
    named = NAMED.get(options.model)
    params = preset(options.preset or (named.preset if named is not None else "edge"))
    profile = _profile(options, recipe)
    report = energy_report(config, recipe, params, options.position, options.prompt, profile)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    shown = Table(title=f"{config.name}, {recipe.name}: millijoules of a token in decoding, DDR4")
    shown.add_column("design")
    for heading in (*GROUPS, "all"):
        shown.add_column(heading, justify="right")
    for row in report["designs"]:
        name = row["design"] + (" (as published)" if row["firing"] == "published" else "")
        values = [*row["groups"].values(), row["joules"]]
        shown.add_row(name, *(_millijoules(value) for value in values))
    console = _console()
    console.print(shown)
    console.print(f"firing: {report['firing']}", highlight=False, soft_wrap=True)
    console.print("counts, constants, sources: --json; see docs/energy.md", highlight=False)


def _boards(options: argparse.Namespace) -> None:
    if options.board is not None:
        board_called(options.board)
    check_coding(options.coding)
    config, recipe = _config(options), load_recipe(options.recipe)
    profile = _profile(options, recipe)
    asked = (options.position, options.prompt, profile, options.board, options.coding)
    report = boards_report(config, recipe, *asked)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    shown = Table(title=f"{config.name}, {recipe.name}: predicted, see docs/boards.md")
    shown.add_column("board")
    headings = ("cores", "tokens", "lanes", "banks", "port", "tokens/s", "limited by")
    for heading in (*headings, f"{options.prompt:,} tokens, s", "J a token"):
        shown.add_column(heading, justify="right")
    for row in report["boards"]:
        if "params" in row:
            params = row["params"]
            keys = ("tokens", "lanes", "banks", "axi_data_width")
            cells = [row["cores"], *(params[key] for key in keys)]
            cells += [f"{row['tokens_per_second']:.3g}", row["bound"]]
            cells += [f"{row[key]:.3g}" for key in ("prompt_seconds", "joules_per_token")]
            shown.add_row(row["key"], *map(str, cells))
    console = _console()
    console.print(shown)
    for row in report["boards"]:
        console.print(f"{row['key']}: {row['reason']}", highlight=False, soft_wrap=True)
    console.print(f"firing: {report['firing']}", highlight=False, soft_wrap=True)


def _millijoules(joules: float) -> str:
    value = 1e3 * joules
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _console() -> Console:
    """Return a console that is wide enough: a figure that is cut off is none."""
    return Console(width=max(Console().width, _TABLE_WIDTH))
