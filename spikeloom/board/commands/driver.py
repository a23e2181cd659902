"""`python -m spikeloom.board driver`."""

import argparse

from spikeloom.board.library import write

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Write the C library, and print its files."""
    for path in write(options.output):
        print(path)
    return 0
