"""The commands of all packages under one roof: ``spikeloom {hw,golden,compiler,sim,board} …``."""

import importlib
import sys

from golden.console import interrupt
from golden.console.version import version_line

__all__ = ["main"]

PACKAGES = {
    "hw": "generate the accelerator as Verilog",
    "golden": "the golden model: perplexity, calibrate, profile, generate, fetch",
    "compiler": "compile a model, and ask what it will cost",
    "sim": "run it: on RTL, the cycle model or the functional device",
    "board": "a board, or a simulated one: selftest, run, counters, driver",
}
_MODULES = {"board": "spikeloom.board"}  # the others are called as they are


def usage() -> str:
    """Return what ``--help`` prints."""
    lines = [f"  {name:<10} {what}" for name, what in PACKAGES.items()]
    usage = "usage: spikeloom [--version] [--help] PACKAGE COMMAND [OPTION ...]"
    return "\n".join([usage, "", *lines, "", "`spikeloom sim run` is `python -m sim run`."])


def main() -> None:
    """Run the command line and exit with its status; 2 where no package is named."""
    with interrupt.at_once("__main__"):  # it is a command, by whatever name it was started
        pass
    interrupt.run(_main)


def _main() -> int:
    if len(sys.argv) < 2:
        print(usage(), file=sys.stderr)
        return 2
    first, rest = sys.argv[1], sys.argv[2:]
    if first in ("-h", "--help"):
        print(usage())
        return 0
    if first == "--version":
        print(version_line())
        return 0
    if first not in PACKAGES:
        names = ", ".join(PACKAGES)
        print(
            f"spikeloom: PACKAGE must be one of {names}, not {first} (see --help)", file=sys.stderr
        )
        return 2
    return importlib.import_module(f"{_MODULES.get(first, first)}.__main__").main(rest)


if __name__ == "__main__":
    main()
