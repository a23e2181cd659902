"""`python -m sim sweep`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from golden.console.progress import Work
from golden.console.tables import print_lines, print_table
from sim.commands.options import timing
from sim.memories import IDEAL
from sim.sweep.request import SweepRequest
from sim.sweep.run import FILES, LOG, sweep
from sim.sweep.words import many

__all__ = ["run"]

_NAMES = ("recipe", "coding", "array")  # axes whose values are words


def run(options: argparse.Namespace) -> int:
    """Measure a grid, and print the configurations on a front."""
    names = ("model", "layer", "preset", "coding", "recipe", "prompt", "prompt_tokens", "board")
    names += ("scheduler", "output") + ("workers",) * (options.workers is not None)
    request = SweepRequest(
        axes=tuple(options.grid),
        timing=timing(options),
        **{name: getattr(options, name) for name in names},
    )
    with Work() as work:
        summary, rows, directory = sweep(request, say=work.say, progress=work.reach)
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        _show(summary, rows)
        print(f"{', '.join(FILES.values())} in {directory}")
    if lines := summary["ignored_lines"]:
        print(
            f"{options.program}: {directory / LOG} holds {many(len(lines), 'line')} without a "
            f"whole row, the first at line {lines[0]}: ignored, and measured anew where asked for",
            file=sys.stderr,
        )
    for entry in summary["reasons"]:
        if entry["status"] == "failed":
            failed = entry["configurations"]
            print(f"{options.program}: {failed} failed: {entry['reason']}", file=sys.stderr)
    return 1 if summary["failed"] else 0


def _show(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    print_lines(
        f"{summary['model']} {','.join(summary['layers'])}: "
        f"{many(summary['measured'], 'configuration')} measured, {summary['refused']} refused, "
        f"{summary['failed']} failed; {many(summary['prompt_tokens'], 'token')}, "
        f"{_memory(summary)}; "
        f"{summary['simulated']} simulated on {many(summary['workers'], 'worker')}, "
        f"{summary['wall_seconds']:.1f} s"
    )
    _show_fronts(summary, rows)
    for entry in summary["reasons"]:
        print_lines(f"{entry['configurations']} {entry['status']}: {entry['reason']}")


def _memory(summary: Mapping[str, Any]) -> str:
    ideal = summary["memory"] == IDEAL
    return f"latency {summary['latency']}" if ideal else f"memory {summary['memory']}"


def _show_fronts(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows on a front, by recipe and cycles."""
    on = {
        name: {index for indices in of.values() for index in indices}
        for name, of in summary["pareto"].items()
    }
    board = ("tokens/s", "fits") if summary["board"] else ()
    headings = (
        "row",
        *summary["grid"],
        "cycles a token",
        "stall",
        "LUTs",
        "µJ a token",
        *board,
        "front",
    )
    words = [i for i, name in enumerate(headings) if name in (*_NAMES, "fits", "front")]
    shown = []
    for index in sorted(set().union(*on.values()), key=lambda index: _order(rows[index])):
        row = rows[index]
        cells = [str(index), *(str(row[name]) for name in summary["grid"])]
        cells += [f"{row['cycles_per_token']:,.0f}", f"{row['stall_cycles'] / row['cycles']:.0%}"]
        cells.append(_number(row.get("all_luts"), "{:,.0f}"))
        cells.append(_number(row.get("joules_per_token"), "{:,.1f}", 1e6))
        if summary["board"]:
            cells.append(_number(row.get("tokens_per_second"), "{:,.0f}"))
            known = row.get("all_luts") is not None
            cells.append("?" if not known else "no" if row.get("misfit") else "yes")
        fronts = (("LUTs", "cycles_luts"), ("µJ", "cycles_joules"))
        shown.append([*cells, " ".join(cost for cost, name in fronts if index in on[name])])
    print_table(headings, shown, left=words)


def _order(row: Mapping[str, Any]) -> tuple:
    return row["recipe"], row["cycles_per_token"], row.get("all_luts") or 0.0


def _number(value: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if value is None else form.format(value * unit)
