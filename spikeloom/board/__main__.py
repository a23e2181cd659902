"""Command line of the boards: `python -m spikeloom.board`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    from golden.console.main import run
    from sim.errors import ToolError
    from spikeloom.board.commands.grammar import parser
    from spikeloom.board.errors import BoardError, MemoryFault

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    return run(parser(), arguments, refusals=(BoardError, ToolError), mismatches=(MemoryFault,))


if __name__ == "__main__":
    interrupt.run(main)
