"""`python -m sim generate`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sim.commands.options import (
    add_model,
    add_timing,
    given,
    refuse_fixed,
    tell_failures,
    timing,
)

__all__ = ["add"]

_ABOUT = """\
Compiles a whole model, which is kept for the next time, and lets a device continue a prompt: token
by token, the likeliest each time, in one program. With --check golden, golden's integer model must
make the same tokens, and the functional device have the same counters. Exit status: 0 where all of
that holds, 1 where it does not, 2 where the request is at fault."""

_COMPILED = ("coding", "recipe", "context", "devices")
_NAMES = (*_COMPILED, "model", "preset", "compiled", "prompt", "tokens", "device", "output")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    command = commands.add_parser(
        "generate", help="let a whole model continue a prompt", description=_ABOUT
    )
    add = command.add_argument
    add_model(command)
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    add("--device", metavar="D", default="functional", help="rtl, cycle or functional (default)")
    add(
        "--devices",
        metavar="N",
        type=int,
        help="that share the model, functional or cycle; one is run beside them (default: 1)",
    )
    add(
        "--link-bytes",
        metavar="N",
        type=int,
        help="assumed of the simulated link: bytes a cycle into each device (default: 4)",
    )
    add(
        "--link-latency",
        metavar="N",
        type=int,
        help="assumed of it: cycles before the first byte of an exchange (default: 100)",
    )
    add("--prompt", metavar="TEXT", help="the text to continue")
    add("--tokens", metavar="N", type=int, default=64, help="to add at most (default: 64)")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    add("--check", metavar="G", choices=["golden"], help="golden: compare with its integer model")
    add_timing(command)
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sim/MODEL/all-PRESET)")
    add("--json", action="store_true", help="print the report instead of the text")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    refuse_fixed(options, _COMPILED)
    from sim.generate.generate import generate as alone  # imports of seconds
    from sim.generate.whole import GenerateRequest
    from sim.scale import generate as together

    request = GenerateRequest(
        timing=timing(options),
        link=_link(options),
        check=bool(options.check),
        **given(options, _NAMES),
    )
    generate = together.generate
    if not together.wanted(request):
        if options.link_bytes is not None or options.link_latency is not None:
            raise ValueError(
                "--link-bytes and --link-latency must be left out: one device has no link"
            )
        generate = alone
    shows = not options.json

    def write(text: str) -> None:
        status.stop()
        if shows:
            print(text, end="", flush=True)

    with Console(stderr=True).status("starting") as status:
        finished, path = generate(request, say=lambda doing: status.update(doing), write=write)
    if options.json:
        print(json.dumps(finished, indent=1))
    else:
        print(f"\n{_speed(finished)}\nreport: {path}")
    tell_failures(finished)
    return 0 if finished["passed"] else 1


def _link(options: argparse.Namespace):
    from sim.scale.link import Link

    chosen = {"bytes_per_cycle": options.link_bytes, "latency": options.link_latency}
    return Link(**{name: value for name, value in chosen.items() if value is not None})


def _speed(finished: Mapping[str, Any]) -> str:
    """Return what a run of tokens took as a line."""
    parts = [f"{len(finished['tokens'])} tokens on {finished['device']}"]
    if seconds := finished["seconds_per_position"]:
        parts.append(f"{1 / seconds:.4g} tokens a second")
    if cycles := finished["cycles_per_position"]:
        parts.append(f"{cycles:,.0f} cycles a token")
    if len(parts) > 1:
        parts[-1] += " (the prompt's included)"
    if scale := finished.get("scale_out"):
        parts[0] += f" × {scale['devices']}"
        if scale["speed_up"]:
            parts.append(f"{scale['speed_up']} times as fast as one device")
        if scale["one"] and finished["passed"]:
            parts.append("the same bits as one device's")
    if finished["checked_with"] and finished["passed"]:
        parts.append("the same as golden's")
    return ", ".join(parts)
