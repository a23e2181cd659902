"""`python -m sim run`."""

import argparse
from dataclasses import replace
from pathlib import Path

from sim.commands.options import (
    add_model,
    add_timing,
    given,
    refuse_fixed,
    tell_failures,
    timing,
    work_bar,
)

__all__ = ["add"]

_ABOUT = """\
Takes the vectors that reach a layer in the golden model for a prompt, compiles the layer, runs it,
and compares every output word and every counter with the golden model. Exit status: 0 where all of
that holds, 1 where something differs, 2 where the request is at fault."""

_COMPILED = ("layer", "coding", "recipe", "tokens", "rows", "array", "no_skip")
_NAMES = (*_COMPILED, "model", "preset", "device", "prompt", "compiled", "waves", "output")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    command = commands.add_parser(
        "run", help="run one layer and compare it with the golden model", description=_ABOUT
    )
    add = command.add_argument
    add(
        "--layer",
        metavar="L",
        help="mlpN, attnN, one of qN kN vN oN gateN upN downN, or lm_head",
    )
    add_model(command)
    add("--array", metavar="A", help="spike, or mac to compare with (default: spike)")
    add(
        "--no-skip",
        action="store_const",
        const=True,
        help="hardware that fetches silent channels too, to compare with",
    )
    add("--device", metavar="D", default="rtl", help="rtl, cycle or functional (default: rtl)")
    add("--prompt", metavar="TEXT", help="whose last tokens' vectors are taken")
    add("--tokens", metavar="M", type=int, help="how many (default: as the hardware has rows)")
    add("--rows", metavar="A:B", help="output channels of a single matrix, or how many")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    add_timing(command)
    add("--waves", action="store_true", help="record waves beside the report")
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sim/MODEL/LAYER)")
    add("--json", action="store_true", help="print the report instead of a table")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    refuse_fixed(options, _COMPILED)
    if options.compiled is None and options.layer is None:
        raise argparse.ArgumentError(None, "--layer (such as mlp0) or --compiled must be given")
    from sim.check import report  # imports of seconds: --help and wrong arguments need none of it
    from sim.check.run import Request, forget, run

    request = Request(**given(options, _NAMES))
    forget(request)  # before anything that is refused
    request = replace(request, timing=timing(options))
    with work_bar() as bar:
        task = bar.add_task("starting", total=None)
        finished, path = run(
            request,
            say=lambda doing: bar.update(task, description=doing, total=None),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report.show(finished, options.json)
    tell_failures(finished)
    if not options.json:
        print(f"report: {path}")
    return 0 if finished["passed"] else 1
