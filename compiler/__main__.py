"""Command line of the compiler: `python -m compiler`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    import argparse
    import sys
    from typing import NoReturn

    from compiler.commands import build, stored
    from compiler.commands import plan as cli
    from golden.console.errors import sentence_of

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 after one sentence on stderr, or 130."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ValueError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(sentence_of(error))
    except KeyboardInterrupt as stop:
        if sentence := str(stop):
            _refuse(sentence)
        return 130
    return 0


def _refuse(sentence: str) -> int:
    print(f"python -m compiler: {sentence}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m compiler", description="The compiler of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build.add(commands)
    stored.add(commands)
    cli.register(commands)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    interrupt.run(main)
