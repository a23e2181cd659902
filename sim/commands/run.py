"""`python -m sim run`."""

import argparse
import sys

from compiler.predict.cycles import CLOCK_MHZ
from golden.commands.options import prompt
from golden.console.progress import Work
from sim.check import report
from sim.check.check import Request, check
from sim.commands.options import given, refuse_fixed, tell_failures, timing, where
from sim.runs.place import retire

__all__ = ["run"]

_COMPILED = ("layer", "coding", "recipe", "tokens", "rows", "array", "no_skip")
_NAMES = (*_COMPILED, "model", "preset", "device", "compiled", "waves", "output")
_LAYER = "mlp0"


def run(options: argparse.Namespace) -> int:
    """Run a layer, and print how it compares with golden."""
    refuse_fixed(options, _COMPILED)
    if options.output is not None:
        retire(options.output)  # before anything that is refused
    if options.compiled is None and options.layer is None:
        options.layer = _LAYER
        print(f"{options.program}: runs {_LAYER}: name others with --layer", file=sys.stderr)
    request = Request(
        timing=timing(options),
        prompt=prompt(options),
        command=options.command_line,
        clock_mhz=options.clock or CLOCK_MHZ,
        **given(options, _NAMES),
    )
    with Work() as work:
        finished, path = check(request, say=work.begin, progress=work.reach)
    report.show(finished, options.json)
    tell_failures(options, finished)
    if not options.json:
        print(where(finished, path))
    return 0 if finished["passed"] else 1
