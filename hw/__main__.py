"""Command line of the generator: ``python -m hw generate`` and ``python -m hw docs``.

Hardware imports nothing of its siblings, so that a few lines of their grammar stand here again.
"""

import argparse
import importlib.metadata
import json
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from hw.contract.presets import PRESETS, preset

__all__ = ["main", "parser"]


class _Parser(argparse.ArgumentParser):
    """A parser that has `--version`, and whose errors are one sentence."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self.add_argument("--version", action=_Version, nargs=0, help="show the version, and end")

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


class _Version(argparse.Action):
    """Prints the version, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version that stands in pyproject.toml, or that is installed."""
        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        if project.is_file():
            version = tomllib.loads(project.read_text())["project"]["version"]
        else:
            version = importlib.metadata.version("spikeloom")
        print(f"spikeloom {version}")
        parser.exit()


def _called() -> str:
    program = Path(sys.argv[0])
    front = program.stem == "spikeloom" or program.parts[-2:] == ("spikeloom", "__main__.py")
    return f"{'spikeloom' if front else 'python -m'} hw"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = _Parser(prog=_called(), description="The generator of Spikeloom's hardware.")
    commands = made.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    about = "write the accelerator as plain Verilog"
    generate = commands.add_parser("generate", help=about, description=f"W{about[1:]}.")
    hardware = generate.add_argument_group("hardware")
    hardware.add_argument(
        "--preset",
        metavar="PRESET",
        default="edge",
        help=f"hardware: {', '.join(sorted(PRESETS))} (default: %(default)s)",
    )
    output = generate.add_argument_group("output")
    _add_output(output, "build/rtl", "where the files go")
    output.add_argument("--json", action="store_true", help="print parameters and fingerprint")
    about = "write docs/isa.md and docs/regs.md"
    pages = commands.add_parser("docs", help=about, description=f"W{about[1:]}.")
    _add_output(pages.add_argument_group("output"), "docs", "where the pages go")
    return made


def _add_output(group: argparse._ArgumentGroup, default: str, help: str) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path(default),
        help=f"{help} (default: %(default)s)",
    )


def _run(options: argparse.Namespace) -> None:
    from hw.generate import docs  # all of the hardware: --help needs none of it
    from hw.generate.emit import describe, emit

    if options.command == "docs":
        files = docs.write(options.output)
    else:
        params = preset(options.preset)
        files = emit(params, options.output)
        if options.json:
            print(json.dumps(describe(params), indent=2))
            return
    for file in files:
        print(file)


def _tell(options: argparse.Namespace, sentence: object) -> int:
    print(f"{_called()} {options.command}: {sentence}", file=sys.stderr)
    return 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 2 where the request is at fault."""
    made, told = parser(), sys.argv[1:] if arguments is None else arguments
    if not told:
        made.print_help(sys.stderr)
        return 2
    options = made.parse_args(told)
    try:
        _run(options)
    except ValueError as error:
        return _tell(options, error)
    except OSError as error:
        place = error.filename or options.output
        return _tell(options, f"{place} cannot be used ({error.strerror}): name another --output")
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
