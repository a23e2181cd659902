"""Command line of the simulators: `python -m sim`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    from golden.console.main import run
    from sim.commands.grammar import parser
    from sim.errors import ToolError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    return run(parser(), arguments, refusals=(ToolError,))


if __name__ == "__main__":
    interrupt.run(main)
