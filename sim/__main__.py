"""Command line of the simulators: ``python -m sim run``, ``generate``, ``diverge``, ``sweep``."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    import argparse
    import sys
    from typing import NoReturn

    from golden.console.errors import sentence_of
    from sim.commands import diverge, generate, run, sweep
    from sim.errors import ToolError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = _Parser(prog="python -m sim", description="The simulators of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (run, generate, diverge, sweep):
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except argparse.ArgumentError as error:
        parser.error(str(error))
    except (ValueError, ToolError) as error:  # each is one sentence
        return _refuse(str(error))
    except OSError as error:
        return _refuse(sentence_of(error))
    except KeyboardInterrupt:
        return 130


def _refuse(sentence: str) -> int:
    print(f"python -m sim: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    interrupt.run(main)
