"""What an interrupt (Ctrl-C, SIGTERM) makes of a command: status 130, and at most one sentence.

Nothing but the standard library is imported here, so that a command can ask for it first.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["STATUS", "at_once", "run"]

STATUS = 130

_commanded = False  # whether this process runs a command, rather than a test or a notebook


@contextmanager
def at_once(module: str | None = None) -> Iterator[None]:
    """End the process where it is interrupted within the block: for imports, which take seconds.

    An exception would pass through libraries that print it or make another of it.

    Parameters
    ----------
    module : str, optional
        The caller's ``__name__``, of the first block of all: nothing is done, here and later, but
        where it is run as a command.
    """
    global _commanded
    _commanded |= module == "__main__"
    if _commanded:
        _set(_end)
    yield
    if _commanded:
        _set(signal.default_int_handler)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its status; it has told what there is to tell of an interrupt."""
    try:
        status = main()
    except KeyboardInterrupt:
        status = STATUS
    finally:
        _set(_end)  # the interpreter waits for threads, and would print what interrupts it
    sys.exit(status)


def _set(handler: Callable) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a job in the background
        signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)  # so that what a command has started ends with it


def _end(*_: object) -> NoReturn:
    os._exit(STATUS)
