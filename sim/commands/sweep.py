"""`python -m sim sweep`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import MofNCompleteColumn
from rich.table import Table

from sim.commands.options import add_model, add_timing, timing, work_bar
from sim.sweep.words import many

__all__ = ["add"]

_ABOUT = """\
Measures every accelerator of a grid on the cycle device, which has the RTL's cycles, with the same
vectors of a prompt; with each its area and energy, estimated. Runs on Dask: on workers that it
starts on this machine, or on a cluster that is there. What has been measured in the same directory
is not measured again. Writes sweep.parquet, pareto.svg and sweep.json. Exit status: 0 where every
configuration was measured or refused with a reason, 1 where one failed, 2 where the request is at
fault."""

_NAMES = ("recipe", "coding", "array")  # axes whose values are words


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    command = commands.add_parser(
        "sweep", help="measure many accelerators on a Dask cluster", description=_ABOUT
    )
    add = command.add_argument
    add_model(command)
    add_timing(command)
    add(
        "--grid",
        metavar="NAME=V,V",
        nargs="+",
        required=True,
        help="values of tokens, lanes, banks, axi_data_width or another parameter of the hardware, "
        "of coding, or of recipe; all combinations are measured",
    )
    add("--layer", metavar="L", help="as of sim run (default: attn0,mlp0)")
    add("--prompt", metavar="TEXT", help="whose last tokens' vectors are taken")
    add(
        "--prompt-tokens",
        metavar="M",
        type=int,
        help="how many, for all alike (default: the most that an accelerator takes at once)",
    )
    add("--board", metavar="B", help="of compiler boards: tokens a second, and whether it fits")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", metavar="N", type=int, help="processes to start (default: 2)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that is there")
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sweep/MODEL/LAYER)")
    add("--json", action="store_true", help="print the summary instead of a table")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from sim.sweep.request import SweepRequest  # imports of seconds
    from sim.sweep.run import FILES, LOG, sweep

    names = ("model", "layer", "preset", "coding", "recipe", "prompt", "prompt_tokens", "board")
    names += ("scheduler", "output") + ("workers",) * (options.workers is not None)
    request = SweepRequest(
        axes=tuple(options.grid),
        timing=timing(options),
        **{name: getattr(options, name) for name in names},
    )
    with work_bar(MofNCompleteColumn()) as bar:
        task = bar.add_task("starting", total=None)
        summary, rows, directory = sweep(
            request,
            say=lambda doing: bar.update(task, description=doing),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        _show(summary, rows)
        print(f"{', '.join(FILES.values())} in {directory}")
    if lines := summary["ignored_lines"]:
        print(
            f"python -m sim: {directory / LOG} holds {many(len(lines), 'line')} without a whole "
            f"row, the first at line {lines[0]}: ignored, and measured anew where asked for",
            file=sys.stderr,
        )
    for entry in summary["reasons"]:
        if entry["status"] == "failed":
            failed = entry["configurations"]
            print(f"python -m sim: {failed} failed: {entry['reason']}", file=sys.stderr)
    return 1 if summary["failed"] else 0


def _show(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    console = Console(highlight=False)
    console.print(
        f"{summary['model']} {','.join(summary['layers'])}: "
        f"{many(summary['measured'], 'configuration')} measured, {summary['refused']} refused, "
        f"{summary['failed']} failed; {many(summary['prompt_tokens'], 'token')}, "
        f"latency {summary['latency']}; "
        f"{summary['simulated']} simulated on {many(summary['workers'], 'worker')}, "
        f"{summary['wall_seconds']:.1f} s"
    )
    console.print(_fronts(summary, rows))
    for entry in summary["reasons"]:
        console.print(f"{entry['configurations']} {entry['status']}: {entry['reason']}")


def _fronts(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows on a front, by recipe and cycles."""
    on = {
        name: {index for indices in of.values() for index in indices}
        for name, of in summary["pareto"].items()
    }
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("row", justify="right", no_wrap=True)
    for name, values in summary["grid"].items():
        longest = max(len(str(value)) for value in values)
        table.add_column(name, justify="left" if name in _NAMES else "right", min_width=longest)
    for heading in ("cycles", "stall", "LUTs", "µJ"):
        table.add_column(heading, justify="right", no_wrap=True)
    if summary["board"]:
        table.add_column("tokens/s", justify="right", no_wrap=True)
        table.add_column("fits")
    table.add_column("front", no_wrap=True)
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
        table.add_row(*cells, " ".join(cost for cost, name in fronts if index in on[name]))
    return table


def _order(row: Mapping[str, Any]) -> tuple:
    return row["recipe"], row["cycles_per_token"], row.get("all_luts") or 0.0


def _number(value: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if value is None else form.format(value * unit)
