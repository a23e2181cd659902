"""``python -m hw soc``: a bitstream for a board."""

import argparse
import sys

from hw.generate.choice import Choice
from hw.soc.boards import BOARDS, board

__all__ = ["BAUD", "DESCRIPTION", "STAGES", "add_options", "board_names", "run"]

DESCRIPTION = """\
Puts an accelerator onto a board: a LiteX system with its DRAM controller and a bridge to the host,
synthesized, placed and routed, as a bitstream with a report of its timing (docs/soc.md). Takes an
hour and more; what was interrupted goes on where a stage ended."""
STAGES = ("system", "netlist", "routed", "bitstream")
"""In order: each is a directory of the output."""
BAUD = 1_000_000
"""Bits a second of the UART, where nothing else is asked for."""


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add what only this command has."""
    group.add_argument(
        "--until",
        metavar="STAGE",
        choices=STAGES,
        default=STAGES[-1],
        help=f"the last to do: {', '.join(STAGES)} (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=_count,
        default=1,
        help="of the placer: the same seed, the same bitstream (default: %(default)s)",
    )
    group.add_argument(
        "--baud",
        metavar="N",
        type=_count,
        default=BAUD,
        help="bits a second of the UART to the host (default: %(default)s)",
    )


def board_names() -> str:
    """Return the boards there are, for help."""
    return ", ".join(sorted(BOARDS))


def run(choice: Choice, options: argparse.Namespace) -> int:
    """Build what was asked for; return the exit status: 1 where it is too slow for its clock."""
    from hw.generate.yosys import YosysError
    from hw.soc import report
    from hw.soc.build import PlacerError, Request, build
    from hw.soc.system import BiosError

    request = Request(
        board=board(options.board),
        params=choice.params,
        origin=choice.origin,
        clock_mhz=choice.clock_mhz,
        baud=options.baud,
        seed=options.seed,
    )
    try:
        result = build(request, options.output, until=options.until, say=_say)
    except (YosysError, PlacerError, BiosError) as error:
        raise ValueError(f"{error}") from None
    print(report.text(result), end="")
    return 0 if report.meets_timing(result) else 1


def _say(doing: str) -> None:
    print(doing, file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)
