"""`python -m spikeloom.board counters`."""

import argparse
import json
from contextlib import ExitStack

from golden.console.tables import print_lines, print_table
from hw.contract.regs import CAPABILITIES, COUNTERS
from spikeloom.board.commands.options import Connection

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print what a board is, and its counters."""
    with ExitStack() as stack:
        connection = Connection(options, stack, _nothing, _nothing, undisturbed=True)
        if connection.simulated:
            raise ValueError(
                "counters are those of a board's last run, and a simulated board ends with its "
                "command: name a board with --transport"
            )
        board = connection.board()
        counted = board.counters()
        told = {
            "fingerprint": board.identity.fingerprint,
            "registers": board.identity.release,
            **{name: getattr(board.identity.params, name) for name in CAPABILITIES},
            "status": board.register("STATUS"),
            "error": board.error().name,
            "position": board.register("POSITION"),
        }
    if options.json:
        print(json.dumps({**told, "counters": counted}, indent=1))
        return 0
    print_lines(*(f"{name}: {value}" for name, value in told.items()), "")
    print_table(("counter", "value", "what"), [(n, v, COUNTERS[n]) for n, v in counted.items()])
    return 0


def _nothing(*_: object) -> None:
    pass
