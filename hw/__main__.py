"""Command line of the generator: ``python -m hw generate`` and ``python -m hw docs``.

Hardware imports nothing of its siblings, so that a few lines of their grammar stand here again.
"""

import argparse
import json
import math
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from hw.contract.boards import BOARDS
from hw.contract.presets import PRESETS
from hw.generate.ask import BenchRefused, bench_files
from hw.generate.choice import SETTINGS, Choice, choose
from hw.generate.version import project_version
from hw.soc import command

__all__ = ["main", "parser"]


_GENERATE = """\
Writes an accelerator as plain Verilog, with constraints, a wrapper for block designs, a FuseSoC
core file and a script for Vivado's catalogue (docs/verilog.md). The same request writes the same
bytes. The fingerprint that it shows is that of the programs that run on it."""


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
        print(f"spikeloom {project_version()}")
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
    about = "write an accelerator as plain Verilog, with what an FPGA's flow takes"
    generate = commands.add_parser("generate", help=about, description=_GENERATE)
    _add_hardware(generate.add_argument_group("hardware"), "edge", boards=True)
    output = generate.add_argument_group("output")
    _add_clock(output, "that constraints ask for (default: --board's, or 100)")
    _add_output(output, "build/rtl", "where the files go")
    output.add_argument("--json", action="store_true", help="print parameters and fingerprint")
    output.add_argument(
        "--netlist",
        action="store_true",
        help="also what it is after synthesis for an ECP5, with models of the cells; takes minutes",
    )
    _add_bench(generate.add_argument_group("self-checking bench"))
    about = "put an accelerator onto a board: a system on a chip, and its bitstream"
    system = commands.add_parser("soc", help=about, description=command.DESCRIPTION)
    hardware = system.add_argument_group("hardware")
    hardware.add_argument(
        "--board", metavar="BOARD", required=True, help=f"for which: {', '.join(command.NAMES)}"
    )
    _add_hardware(hardware, "the board's own", boards=False)
    output = system.add_argument_group("output")
    _add_clock(output, "of the system (default: the board's)")
    command.add_options(output)
    _add_output(output, "build/soc", "where the files go")
    about = "write docs/isa.md and docs/regs.md"
    pages = commands.add_parser("docs", help=about, description=f"W{about[1:]}.")
    _add_output(pages.add_argument_group("output"), "docs", "where the pages go")
    return made


def _add_clock(group: argparse._ArgumentGroup, help: str) -> None:
    group.add_argument("--clock", metavar="MHZ", type=_megahertz, help=help)


def _add_hardware(group: argparse._ArgumentGroup, default: str, boards: bool) -> None:
    base = group.add_mutually_exclusive_group()
    presets = ", ".join(sorted(PRESETS))
    base.add_argument("--preset", metavar="PRESET", help=f"{presets} (default: {default})")
    if boards:
        known = ", ".join(sorted(BOARDS))
        base.add_argument("--board", metavar="BOARD", help=f"what stands for a board: {known}")
    base.add_argument(
        "--from",
        dest="compiled",
        metavar="DIR",
        type=Path,
        help="what a program is for, of python -m compiler build",
    )
    group.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"another value, on top of these, as often as you like: {', '.join(SETTINGS)}",
    )


def _add_bench(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--bench",
        metavar="LAYER",
        nargs="?",
        const="",
        help="also a bench in plain Verilog that runs layers, such as mlp0 or attn0,mlp0, and "
        "holds what they give against the golden model (default: those of --from, or mlp0)",
    )
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="the layer's, as of python -m sim testbench (default: stories260k, or random weights "
        "of its shapes where it is not there)",
    )


def _megahertz(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be megahertz above 0, not {text!r}")
    return value


def _add_output(group: argparse._ArgumentGroup, default: str, help: str) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path(default),
        help=f"{help} (default: %(default)s)",
    )


def _run(options: argparse.Namespace) -> int:
    if options.command == "docs":
        from hw.generate import docs  # all of the hardware: --help needs none of it

        for file in docs.write(options.output):
            print(file)
        return 0
    if options.command == "soc":
        return _soc(options)
    choice = choose(
        named=options.preset,
        board=options.board,
        compiled=options.compiled,
        settings=options.settings,
        clock_mhz=options.clock,
    )
    if options.model is not None and options.bench is None:
        raise ValueError("--model is of a bench: ask for one with --bench")
    files = []
    if options.bench is not None:
        # Golden's numbers are made in a process of their own: hardware imports nothing of golden.
        files = bench_files(choice, options.output, options.bench or None, options.model)
    _generate(choice, options, files)
    return 0


def _soc(options: argparse.Namespace) -> int:
    about = command.known(options.board)
    theirs = options.preset is not None or options.compiled is not None
    choice = choose(
        named=options.preset,
        board=None if theirs else options.board,
        compiled=options.compiled,
        settings=options.settings,
        clock_mhz=options.clock or about.clock_mhz,
    )
    return command.run(choice, options)


def _generate(choice: Choice, options: argparse.Namespace, further: list[Path]) -> None:
    from hw.contract.description import describe
    from hw.generate.netlist import netlist
    from hw.generate.package import package

    files = package(choice, options.output)
    if options.netlist:
        files += netlist(choice.params, options.output)
    if options.json:
        print(json.dumps(describe(choice.params), indent=2))
        return
    for file in [*files, *further]:
        print(file)
    print(f"hardware: {choice.origin}, {choice.clock_mhz:g} MHz")
    print(f"fingerprint: {choice.fingerprint}")


def _tell(options: argparse.Namespace, sentence: object) -> int:
    print(f"{_called()} {options.command}: {sentence}", file=sys.stderr)
    return 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 2 where the request is at fault.

    A bitstream that is too slow for its clock is a 1.
    """
    made, told = parser(), sys.argv[1:] if arguments is None else arguments
    if not told:
        made.print_help(sys.stderr)
        return 2
    options = made.parse_args(told)
    try:
        return _run(options)
    except ValueError as error:
        return _tell(options, error)
    except OSError as error:
        place = error.filename or options.output
        return _tell(options, f"{place} cannot be used ({error.strerror}): name another --output")
    except BenchRefused as refused:
        return refused.status
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # of hardware that was described and never used
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it has started ends with it
    sys.exit(main())
