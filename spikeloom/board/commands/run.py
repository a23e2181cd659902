"""`python -m spikeloom.board run`."""

import argparse
import json
from contextlib import ExitStack
from functools import partial

from compiler.artifact.program import Compiled
from compiler.predict.cycles import CLOCK_MHZ
from golden.commands.options import prompt
from golden.console.progress import Work
from golden.console.tables import print_lines
from sim.commands.generate import speed
from sim.commands.options import given, refuse_fixed, tell_failures, where
from sim.generate.generate import generate
from sim.generate.request import GenerateRequest
from spikeloom.board.board import Board
from spikeloom.board.commands.options import Connection
from spikeloom.board.story import BoardRunner

__all__ = ["run"]

_COMPILED = ("coding", "recipe", "context")
_NAMES = (*_COMPILED, "compiled", "tokens", "output")
_MODEL = "stories260k"


def run(options: argparse.Namespace) -> int:
    """Let a board continue a prompt, and print what it says."""
    refuse_fixed(options, _COMPILED)
    with Work() as work, ExitStack() as stack:
        connection = Connection(options, stack, work.say, work.reach)
        if options.compiled is None:
            options.preset, options.model = connection.preset(), options.model or _MODEL
        request = GenerateRequest(
            prompt=prompt(options),
            command=options.command_line,
            clock_mhz=options.clock or CLOCK_MHZ,
            check=bool(options.check),
            device="board",
            **given(options, (*_NAMES, "model", "preset")),
        )

        def connect(compiled: Compiled, _: ExitStack) -> Board:
            return connection.board(compiled.params, compiled.memory_bytes)

        finished, path = generate(
            request,
            say=work.begin,
            tell=work.say,
            write=_silent if options.json else work.write,
            progress=work.reach,
            runner=partial(BoardRunner, connect=connect),
        )
    if options.json:
        print(json.dumps(finished, indent=1))
    else:
        print_lines("", speed(finished))
        print(where(finished, path))
    tell_failures(options, finished)
    return 0 if finished["passed"] else 1


def _silent(text: str) -> None:
    """Show no text: the report holds it."""
