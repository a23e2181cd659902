"""Command line of the compiler: `python -m compiler`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    from compiler.commands.grammar import parser
    from golden.console.main import run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    return run(parser(), arguments)


if __name__ == "__main__":
    interrupt.run(main)
