"""``python -m hw soc``: a bitstream for a board, or scripts for one whose tools are not open."""

import argparse
import sys

from hw.contract.boards import BoardHardware, board_hardware
from hw.generate.choice import Choice
from hw.soc.boards import BOARDS

__all__ = ["BAUD", "DESCRIPTION", "NAMES", "STAGES", "add_options", "known", "run"]

DESCRIPTION = """\
Puts an accelerator onto a board: a LiteX system with its DRAM controller and a bridge to the host,
synthesized, placed and routed, as a bitstream with a report of its timing (docs/soc.md). Takes an
hour and more; what was interrupted goes on where a stage ended. For the KV260 it writes what
Vivado, Linux and PYNQ take."""
_ZYNQ = "kv260"
NAMES = tuple(sorted([*BOARDS, _ZYNQ]))
"""Boards that it knows."""
STAGES = ("system", "netlist", "routed", "bitstream")
"""In order: each is a directory of the output."""
BAUD = 1_000_000
"""Bits a second of the UART, where nothing else is asked for."""
_OF_BITSTREAMS = {"until": STAGES[-1], "seed": 1, "baud": BAUD}  # options, and their defaults


_SLOWEST_MHZ, _FASTEST_MHZ = 25, 200  # the DRAM has twice as many, and an ECP5's PLL 400 at most

_CYCLES_A_BIT = 8  # of the UART at least, so that it finds a bit's middle


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add what only this command has."""
    group.add_argument(
        "--until",
        metavar="STAGE",
        choices=STAGES,
        default=_OF_BITSTREAMS["until"],
        help=f"the last to do: {', '.join(STAGES)} (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=_count,
        default=_OF_BITSTREAMS["seed"],
        help="of the placer: the same seed, the same bitstream (default: %(default)s)",
    )
    group.add_argument(
        "--baud",
        metavar="N",
        type=_count,
        default=_OF_BITSTREAMS["baud"],
        help="bits a second of the UART to the host (default: %(default)s)",
    )


def known(name: str) -> BoardHardware:
    """Return what stands for a board; raises ValueError naming those that there are."""
    if name not in NAMES:
        raise ValueError(f"board must be one of {', '.join(NAMES)}, not {name!r}")
    return board_hardware(name)


def run(choice: Choice, options: argparse.Namespace) -> int:
    """Build what was asked for; return the exit status: 1 where it is too slow for its clock."""
    from hw.generate.yosys import YosysError
    from hw.soc import report, zynq
    from hw.soc.build import PlacerError, Request, build
    from hw.soc.system import BiosError

    if options.board == _ZYNQ:
        for name, default in _OF_BITSTREAMS.items():
            if getattr(options, name) != default:
                raise ValueError(f"--{name} is for boards with an ECP5: leave it out for {_ZYNQ}")
        for file in zynq.write(choice, options.output):
            print(file)
        print(f"fingerprint: {choice.fingerprint}")
        print("Nobody has run these files: README.md says how they are meant.")
        return 0
    if not _SLOWEST_MHZ <= choice.clock_mhz <= _FASTEST_MHZ:
        raise ValueError(
            f"the clock must be {_SLOWEST_MHZ} to {_FASTEST_MHZ} MHz, not {choice.clock_mhz:g}"
        )
    fastest = int(choice.clock_mhz * 1e6 / _CYCLES_A_BIT)
    if options.baud > fastest:
        raise ValueError(
            f"--baud must be at most {fastest} at {choice.clock_mhz:g} MHz, "
            f"{_CYCLES_A_BIT} cycles a bit, not {options.baud}"
        )
    request = Request(
        board=BOARDS[options.board],
        params=choice.params,
        origin=choice.origin,
        clock_mhz=choice.clock_mhz,
        baud=options.baud,
        seed=options.seed,
    )
    try:
        result = build(request, options.output, until=options.until, say=_say)
    except (YosysError, PlacerError, BiosError) as error:
        first, *rest = str(error).splitlines()  # Yosys' is the end of its log
        raise ValueError(" ".join([first, *rest[-1:]])) from None
    print(report.text(result), end="")
    return 0 if report.meets_timing(result) else 1


def _say(doing: str) -> None:
    print(doing, file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)
