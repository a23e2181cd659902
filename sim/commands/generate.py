"""`python -m sim generate`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from compiler.predict.cycles import CLOCK_MHZ
from golden.commands.options import prompt
from golden.console.progress import Work
from sim.commands.options import given, refuse_fixed, tell_failures, timing, where
from sim.generate.generate import generate
from sim.generate.request import GenerateRequest
from sim.generate.several import wanted
from sim.scale.link import Link

__all__ = ["run"]

_COMPILED = ("coding", "recipe", "context", "devices")
_NAMES = (*_COMPILED, "model", "preset", "compiled", "tokens", "device", "output")


def run(options: argparse.Namespace) -> int:
    """Let a device continue a prompt, and print what it says."""
    refuse_fixed(options, _COMPILED)
    request = GenerateRequest(
        timing=timing(options),
        link=_link(options),
        prompt=prompt(options),
        command=options.command_line,
        clock_mhz=options.clock or CLOCK_MHZ,
        check=bool(options.check),
        **given(options, _NAMES),
    )
    links = (options.link_bytes, options.link_latency)
    if links != (None, None) and not wanted(request):
        raise ValueError("--link-bytes and --link-latency must be left out: one device has no link")
    with Work() as work:
        finished, path = generate(
            request,
            say=work.begin,
            tell=work.say,
            write=_silent if options.json else work.write,
            progress=work.reach,
        )
    if options.json:
        print(json.dumps(finished, indent=1))
    else:
        print(f"\n{_speed(finished)}\n{where(finished, path)}")
    tell_failures(finished)
    return 0 if finished["passed"] else 1


def _silent(text: str) -> None:
    """Show no text: the report holds it."""


def _link(options: argparse.Namespace) -> Link:
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
    if seconds := finished["clock_seconds"]:
        speed = finished["positions"] / seconds
        parts.append(f"{speed:,.4g} a second at {finished['clock_mhz']:g} MHz")
    if joules := finished["joules"]:
        parts.append(f"{joules / finished['positions'] * 1e3:,.4g} mJ a token by the ledger")
    if scale := finished.get("scale_out"):
        parts[0] += f" × {scale['devices']}"
        if scale["speed_up"]:
            parts.append(f"{scale['speed_up']} times as fast as one device")
        if scale["one"] and finished["passed"]:
            parts.append("the same bits as one device's")
    if finished["checked_with"] and finished["passed"]:
        parts.append("the same as golden's")
    return ", ".join(parts)
