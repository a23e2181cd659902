"""`python -m sim diverge`."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from golden.checkpoint.fetch import KNOWN
from golden.commands.options import prompt
from golden.console.progress import Work
from golden.console.tables import print_lines
from sim.commands.options import given, refuse_fixed, timing
from sim.diverge.diverge import diverge
from sim.generate.request import GenerateRequest

__all__ = ["run"]

_COMPILED = ("layer", "coding", "recipe", "context")
_NAMES = ("model", "preset", "coding", "recipe", "context", "compiled", "output")


def run(options: argparse.Namespace) -> int:
    """Find the first difference, and print where it is."""
    refuse_fixed(options, _COMPILED)
    if misplaced := [side for side in (options.a, options.b) if side in KNOWN]:
        raise argparse.ArgumentError(
            None, f"{misplaced[0]} is a model: MODEL comes first, then the two devices"
        )
    memory = timing(options)
    if options.layer is not None and (options.tokens, options.context) != (None, None):
        raise ValueError("--layer takes neither --tokens nor --context, which a whole model has")
    request = GenerateRequest(
        timing=memory,
        prompt=prompt(options),
        command=options.command_line,
        tokens=1 if options.tokens is None else options.tokens,
        **given(options, _NAMES),
    )
    with Work() as work:
        found, path = diverge(
            request,
            (options.a, options.b),
            layer=options.layer,
            keep=options.save,
            say=work.say,
        )
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        print_lines(*_lines(found), indent=4)
        print(f"report: {path}")
    return 0 if found["same"] else 1


def _lines(found: Mapping[str, Any]) -> list[str]:
    """Return a report for people."""
    seen = f"{found['compared']:,} elements of {found['instructions']:,} instructions compared"
    if found["hidden"]:
        seen += f", {found['hidden']:,} not to be seen on both sides"
    first = found["first"]
    if first is None:
        said = found["beyond"] or "no difference"
        return [f"{found['model']}: A {found['a']}, B {found['b']}: {said}", seen]
    where = [f"token {first['token']}"]
    if first["position"] is not None:
        where = [f"position {first['position']} (token {first['token']})"]
    where += [f"layer {first['layer']}"] if first["layer"] is not None else []
    place = [f"element {first['element']}"]
    for name in ("head", "channel", "tile", "beat", "word", "lane"):
        if first[name] is not None:
            place.append(f"{name} {first[name]}")
    told = [
        f"first difference: {', '.join(where)}, instruction {first['instruction']}",
        f"  {first['slot']:4} {first['listing']}",
        f"  {first['tensor']}{_region(first)}: {', '.join(place)}",
        *(f"  {side.upper()} {found[side]}: {_shown(first[side])}" for side in ("a", "b")),
    ]
    if first["time_step"] is not None:
        told.append(
            f"  the spike trains ({first['coding']}) differ from time step {first['time_step']} on"
        )
    told.append(f"  {first['differing']:,} of {first['elements']:,} elements of the tensor differ")
    return [*told, seen]


def _region(first: Mapping[str, Any]) -> str:
    return f" (region {first['region']})" if first["region"] else " (spike buffer)"


def _shown(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "not written"
    real = f" ({value['real']:.6g})" if "real" in value else ""
    return f"{value['hex']} = {value['value']}{real}"
