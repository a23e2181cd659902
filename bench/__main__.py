"""Command line of the benches: ``python -m bench [NAME ...]``."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    from bench.grammar import parser
    from golden.console.main import run
    from sim.errors import ToolError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 where results are wrong, 2 at a wrong request."""
    return run(parser(), arguments, refusals=(ToolError,), mismatches=(RuntimeError,))


if __name__ == "__main__":
    interrupt.run(main)
