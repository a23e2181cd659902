"""Command line of the compiler: `python -m compiler`."""

import argparse
import json
import sys
import time
from typing import NoReturn

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from compiler.balance import balance
from compiler.build import build, coding_names
from compiler.lower import LAYER_KINDS
from compiler.program import Compiled, load
from golden import fetch
from golden.checkpoints import load as load_checkpoint
from golden.fold import fold
from golden.recipe import known_recipes, load_recipe
from hw.presets import PRESETS, preset

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 after one sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ValueError as error:
        return _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return 0


def _refuse(sentence: str) -> int:
    print(f"python -m compiler: {sentence}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m compiler", description="The compiler of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("build", help="compile layers of a trained model")
    command.add_argument(
        "model",
        help=f"one of {', '.join(fetch.KNOWN)}, or a checkpoint: a Hugging Face "
        "directory, a .gguf file or a llama2.c .bin file",
    )
    command.add_argument(
        "--layers",
        required=True,
        metavar="L[,L...]",
        help=f"{', '.join(f'{kind}N' for kind in LAYER_KINDS)} or lm_head",
    )
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="where it goes")
    command.add_argument(
        "--preset", default="edge", help=f"hardware: {', '.join(PRESETS)} (default: edge)"
    )
    command.add_argument(
        "--recipe",
        default="w8",
        help=f"{', '.join(known_recipes())} or a TOML file (default: w8)",
    )
    command.add_argument(
        "--coding", default="csd", help=f"{', '.join(coding_names())} (default: csd)"
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
    command.set_defaults(run=_build)

    for name, run, purpose in (
        ("verify", _verify, "check every file of a compiled model against its checksums"),
        ("show", _show, "print the program of a compiled model"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("directory", metavar="DIR", help="the compiled model")
        command.add_argument("--preset", help="hardware that it must be for")
        command.set_defaults(run=run)

    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _build(options: argparse.Namespace) -> None:
    begin = time.monotonic()
    params, recipe = preset(options.preset), load_recipe(options.recipe)
    checkpoint = fold(load_checkpoint(options.model), recipe.fold_text)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling", total=None)
        compiled = build(
            checkpoint,
            [layer for layer in options.layers.split(",") if layer],
            options.output,
            params=params,
            recipe=recipe,
            coding=options.coding,
            tokens=options.tokens,
            rows=options.rows,
            progress=lambda matrix: progress.update(task, description=f"compiled {matrix}"),
        )
    _summarize(compiled, options, time.monotonic() - begin)


def _verify(options: argparse.Namespace) -> None:
    begin = time.monotonic()
    compiled = load(options.directory, preset(options.preset) if options.preset else None)
    _summarize(compiled, options, time.monotonic() - begin)


def _show(options: argparse.Namespace) -> None:
    compiled = load(options.directory, preset(options.preset) if options.preset else None)
    if not options.json:
        print(compiled.listing())
        return
    listed = [{"operation": opcode.name, **fields} for opcode, fields in compiled.instructions()]
    print(json.dumps(listed, indent=1))


def _summarize(compiled: Compiled, options: argparse.Namespace, seconds: float) -> None:
    manifest = compiled.manifest
    matrices = [step for step in manifest["operations"] if step["operation"] == "MATMUL"]
    if options.json:
        keys = ("layers", "coding", "fingerprint", "tokens", "memory_bytes", "weights")
        report = {
            "directory": str(compiled.directory),
            "model": manifest["model"]["name"],
            "recipe": manifest["recipe"]["name"],
            **{key: manifest[key] for key in keys},
            "matrices": matrices,
            "balance": [entry.as_dict() for entry in balance(compiled)],
            "seconds": round(seconds, 3),
        }
        print(json.dumps(report, indent=1))
        return
    table = Table(title=f"{manifest['model']['name']}: {', '.join(manifest['layers'])}")
    table.add_column("matrix")
    for heading in ("K", "N", "bits", "tiles", "weight bytes", "dense cycles, at least"):
        table.add_column(heading, justify="right")
    for step in matrices:
        keys = ("channels", "outputs", "weight_width", "tiles", "weight_bytes", "dense_cycles")
        table.add_row(step["matrix"], *(f"{step[key]:,}" for key in keys))
    console = Console()
    console.print(table)
    console.print(
        f"{compiled.directory}: {len(compiled.regions)} regions, {compiled.memory_bytes:,} bytes "
        f"of memory, {manifest['recipe']['name']}, {manifest['coding']}, "
        f"{compiled.tokens} tokens, {seconds:.1f} s",
        f"hardware {compiled.fingerprint}",
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )
    for entry in balance(compiled):
        if entry.finding:
            console.print(f"balance: {entry.finding}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
