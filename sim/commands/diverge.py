"""`python -m sim diverge`."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sim.commands.options import add_model, add_timing, given, refuse_fixed, timing

__all__ = ["add"]

_ABOUT = """\
Runs the same program on two devices and names the first instruction, in the program's order, of
which they leave different results: position, layer, tensor, element, tile, lane, and of spike
counts the time step. A and B are functional, cycle, rtl or golden, or a file: a run that --save
kept, a memory image, or an npz file with an array a region of memory. Exit status: 0 where they do
not differ, 1 where they do, 2 where the request is at fault."""

_COMPILED = ("layer", "coding", "recipe", "context")
_NAMES = ("model", "preset", "coding", "recipe", "context", "compiled", "prompt", "output")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    command = commands.add_parser(
        "diverge", help="find the first difference between two devices", description=_ABOUT
    )
    add = command.add_argument
    add_model(command)
    add_timing(command)
    add("a", metavar="A", help="functional, cycle, rtl, golden, or the file of a run")
    add("b", metavar="B", help="what it is compared with")
    add("--layer", metavar="L", help="layers, such as mlp0, in place of a whole model")
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    add("--prompt", metavar="TEXT", help="the text to continue")
    add("--tokens", metavar="N", type=int, help="to add at most (default: 1)")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    add("--save", metavar="DIR", type=Path, help="keep the run of each device here")
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sim/MODEL/…)")
    add("--json", action="store_true", help="print the report instead of a text")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    refuse_fixed(options, _COMPILED)
    from sim.diverge.run import diverge  # imports of seconds
    from sim.generate.whole import GenerateRequest

    memory = timing(options)
    if options.layer is not None and (options.tokens, options.context) != (None, None):
        raise ValueError("--layer takes neither --tokens nor --context, which a whole model has")
    request = GenerateRequest(
        timing=memory,
        tokens=1 if options.tokens is None else options.tokens,
        **given(options, _NAMES),
    )
    with Console(stderr=True).status("starting") as status:
        found, path = diverge(
            request,
            (options.a, options.b),
            layer=options.layer,
            keep=options.save,
            say=lambda doing: status.update(doing),
        )
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        print("\n".join(_lines(found)))
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
