"""Command line of the golden model: `python -m golden`."""

from golden.console import interrupt

with interrupt.at_once(__name__):
    import argparse
    import sys
    from typing import NoReturn

    from golden.commands import calibrate, fetch, generate, perplexity, profile
    from golden.console.errors import sentence_of


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    parser = _Parser(prog="python -m golden", description="The golden model of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (perplexity, calibrate, profile, generate, fetch):
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except ValueError as error:  # checkpoints', recipes' and texts': each is one sentence
        print(f"python -m golden: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"python -m golden: {sentence_of(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    interrupt.run(main)
