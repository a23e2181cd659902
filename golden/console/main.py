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
        them `command_line`, all of it, for reports.
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
    options = parser.parse_args(arguments)
    told = sys.argv[1:] if arguments is None else arguments
    options.command_line = shlex.join([*parser.prog.split(), *told])
    try:
        with interrupt.at_once():
            handler = importlib.import_module(options.handler)
        return handler.run(options) or 0
    except argparse.ArgumentError as error:
        parser.error(str(error))
    except mismatches as error:
        return _tell(parser, error, 1)
    except (ValueError, *refusals) as error:  # each is one sentence
        return _tell(parser, error, 2)
    except OSError as error:
        return _tell(parser, sentence_of(error), 2)
    except KeyboardInterrupt as stop:
        return _tell(parser, stop, interrupt.STATUS) if str(stop) else interrupt.STATUS


def _tell(parser: Parser, sentence: object, status: int) -> int:
    print(f"{parser.prog}: {sentence}", file=sys.stderr)
    return status
