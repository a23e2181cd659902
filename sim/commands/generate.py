"""`python -m sim generate`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from compiler.predict.cycles import CLOCK_MHZ
from golden.commands.options import prompt
from golden.console.progress import Work
from golden.console.tables import print_lines
from sim.commands.options import given, refuse_fixed, tell_failures, timing, where
from sim.generate.generate import generate
from sim.generate.request import GenerateRequest
from sim.generate.several import wanted
from sim.scale.link import Link
from sim.sweep.words import many

__all__ = ["run", "speed"]

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
        print_lines("", speed(finished))
        print(where(finished, path))
    tell_failures(options, finished)
    return 0 if finished["passed"] else 1


def _silent(text: str) -> None:
    """Show no text: the report holds it."""


def _link(options: argparse.Namespace) -> Link:
    chosen = {"bytes_per_cycle": options.link_bytes, "latency": options.link_latency}
    return Link(**{name: value for name, value in chosen.items() if value is not None})


def speed(finished: Mapping[str, Any]) -> str:
    """Return what a run of tokens took as a sentence: what the machine did; the hardware's part."""
    simulated = [f"{many(len(finished['tokens']), 'token')} on {finished['device']}"]
    if seconds := finished["seconds_per_position"]:
        by = "by the host's clock" if finished["device"] == "board" else "simulated"
        simulated.append(f"{by} at {1 / seconds:#.4g} tokens a second, the prompt's included")
    parts, checked = [], []
    if cycles := finished["cycles_per_position"]:
        parts.append(f"{cycles:,.0f} cycles a token")
    if seconds := finished["clock_seconds"]:
        speed = finished["positions"] / seconds
        parts.append(f"{speed:,.4g} tokens a second at {finished['clock_mhz']:g} MHz")
    if joules := finished["joules"]:
        parts.append(f"{joules / finished['positions'] * 1e3:,.4g} mJ a token by the ledger")
    if scale := finished.get("scale_out"):
        simulated[0] += f" × {scale['devices']}"
        if scale["speed_up"]:
            parts.append(f"{scale['speed_up']} times as fast as one device")
        if scale["one"] and finished["passed"]:
            checked.append("the same bits as one device's")
    if finished["checked_with"] and finished["passed"]:
        checked.append("the same as golden's")
    told = [", ".join(simulated)]
    if parts:
        told.append(f"the hardware: {', '.join(parts)}")
    if checked:
        told.append(", ".join(checked))
    return "; ".join(told)
