"""Command line of the golden model: `python -m golden`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    from golden.commands.grammar import parser
    from golden.console.main import run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    return run(parser(), arguments)


if __name__ == "__main__":
    interrupt.run(main)
