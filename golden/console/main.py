"""Runs a command: arguments, handler, and what went wrong as one sentence with its status."""

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence

from golden.console import interrupt
from golden.console.errors import sentence_of
from golden.console.parser import Parser

__all__ = ["run"]


def run(
    parser: Parser,
    arguments: Sequence[str] | None = None,
    *,
    refusals: tuple[type[Exception], ...] = (),
    mismatches: tuple[type[Exception], ...] = (),
) -> int:
    """Run the command that the arguments name.

    Parameters
    ----------
    parser : Parser
        It names the module whose `run` takes the options, and returns a status or nothing; among
        them `program`, which begins what it tells on stderr, and `command_line`, for reports.
    arguments : sequence of str, optional
        In place of those of the process.
    refusals, mismatches : tuple of exception types
        Beyond ValueError and OSError, errors whose message is one sentence: of requests that cannot
        be met, and of results that are not what they must be.

    Returns
    -------
    int
        0; 1 where results differ from what they must be; 2, after one sentence on stderr, where the
        request cannot be met; 130 after an interrupt.
    """
    told = sys.argv[1:] if arguments is None else arguments
    if not told and parser.commands():
        parser.print_help(sys.stderr)
        return 2
    options = parser.parse_args(told)
    options.program = " ".join(filter(None, (parser.prog, getattr(options, "command", None))))
    options.command_line = shlex.join([*parser.prog.split(), *told])
    try:
        with interrupt.at_once():
            handler = importlib.import_module(options.handler)
        return handler.run(options) or 0
    except argparse.ArgumentError as error:
        return _tell(options, f"{error} (see --help)", 2)
    except mismatches as error:
        return _tell(options, error, 1)
    except (ValueError, *refusals) as error:  # each is one sentence
        return _tell(options, error, 2)
    except OSError as error:
        return _tell(options, sentence_of(error), 2)
    except KeyboardInterrupt as stop:
        return _tell(options, stop, interrupt.STATUS) if str(stop) else interrupt.STATUS


def _tell(options: argparse.Namespace, sentence: object, status: int) -> int:
    line = f"{options.program}: {sentence}"
    print(line.encode(errors="backslashreplace").decode(), file=sys.stderr)  # files say anything
    return status
