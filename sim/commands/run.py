"""`python -m sim run`."""

import argparse
from dataclasses import replace

from golden.console.progress import Work
from sim.check import report
from sim.check import run as checked
from sim.commands.options import given, refuse_fixed, tell_failures, timing

__all__ = ["run"]

_COMPILED = ("layer", "coding", "recipe", "tokens", "rows", "array", "no_skip")
_NAMES = (*_COMPILED, "model", "preset", "device", "prompt", "compiled", "waves", "output")


def run(options: argparse.Namespace) -> int:
    """Run a layer, and print how it compares with golden."""
    refuse_fixed(options, _COMPILED)
    if options.compiled is None and options.layer is None:
        raise argparse.ArgumentError(None, "--layer (such as mlp0) or --compiled must be given")
    request = checked.Request(**given(options, _NAMES))
    checked.forget(request)  # before anything that is refused
    request = replace(request, timing=timing(options))
    with Work() as work:
        finished, path = checked.run(request, say=work.begin, progress=work.reach)
    report.show(finished, options.json)
    tell_failures(finished)
    if not options.json:
        print(f"report: {path}")
    return 0 if finished["passed"] else 1
