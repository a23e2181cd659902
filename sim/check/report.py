"""The report of a run: JSON for machines, a short table for people."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.console.tables import print_lines, print_table
from sim.check.case import Case
from sim.check.verdict import Verdict
from sim.runs.clock import Clock
from sim.runs.place import OUTPUTS, Place

__all__ = ["BETWEEN_MATRICES", "assemble", "show"]

BETWEEN_MATRICES = (
    "computed by the golden model in float: norms, rotation, attention, SiLU times up"
)
"""What the report says of the operations that a layer's program leaves out, and a model's has."""


def assemble(
    case: Case,
    verdict: Verdict,
    *,
    preset: str | None,
    device: str,
    counters: Mapping[str, int | None],
    settings: Mapping[str, object],
    effort: Mapping[str, object],
    clock: Clock,
    place: Place,
    waves: Path | None,
) -> dict[str, object]:
    """Return a run's report as plain JSON values.

    Parameters
    ----------
    case : Case
        What was run.
    verdict : Verdict
        What came of it.
    preset : str or None
        Name of the hardware's parameters, where it has one.
    device : str
        On what.
    counters : mapping of str to int or None
        As the device has them, None where it does not count.
    settings : mapping
        Further values of the run (seed, latency, stalls).
    effort : mapping
        Spikes, time and energy (`sim.runs.energy.effort`).
    clock : Clock
        Wall clock of each part.
    place : Place
        Where it ran.
    waves : Path or None
        The file of the recorded waves.
    """
    manifest, matrices = case.compiled.manifest, verdict.matrices
    mismatches = sum(matrix.mismatches for matrix in matrices)
    return {
        "model": manifest["model"]["name"],
        "layer": case.layer,
        "preset": preset,
        "array": case.compiled.params.array,
        "skip_silent": case.compiled.params.skip_silent,
        "coding": manifest["coding"],
        "recipe": manifest["recipe"]["name"],
        **settings,
        "device": device,
        "bit_exact": bool(matrices) and not mismatches,
        "passed": not verdict.failures,
        "failures": verdict.failures,
        "values_compared": sum(matrix.values_compared for matrix in matrices),
        "mismatches": mismatches,
        **counters,
        "addition_cost_cycles": (
            sum(matrix.addition_cost_cycles for matrix in matrices) if matrices else None
        ),
        "dense_weight_bytes": case.expected.dense_weight_bytes,
        "matrices": [{"bit_exact": matrix.bit_exact, **asdict(matrix)} for matrix in matrices],
        "between_matrices": BETWEEN_MATRICES,
        "prompt": case.prompt,
        "tokens": case.compiled.tokens,
        **effort,
        **clock.report(),
        "params": manifest["params"],
        "fingerprint": case.compiled.fingerprint,
        "weights": manifest["weights"],
        "waves": None if waves is None else str(waves),
        "outputs": str(place.directory / OUTPUTS),
        **place.about,
    }


def _show(report: Mapping[str, Any]) -> None:
    """Print what a person wants to see of a report."""
    opponent = "" if report["array"] == "spike" else f", {report['array']} array"
    opponent += "" if report["skip_silent"] else ", nothing skipped"
    title = (
        f"{report['model']} {report['layer']} on {report['device']}: {report['preset']}{opponent}, "
        f"{report['coding']}, {report['recipe']}, {report['tokens']} tokens, "
        f"{report['weights']} weights"
    )
    headings = ("matrix", "inputs", "outputs", "bits", "silent", "cost", "values", "wrong", "exact")
    numbers = ("channels", "outputs", "weight_width", "silent_channels", "addition_cost_cycles")
    numbers += ("values_compared", "mismatches")
    rows = [
        (
            matrix["matrix"],
            *(matrix[number] for number in numbers),
            "yes" if matrix["bit_exact"] else "NO",
        )
        for matrix in report["matrices"]
    ]
    print_table(headings, rows, title=title)
    facts = [*_facts(report)]
    width = max(len(name) for name, _ in facts)
    print_lines("", *(f"  {name:{width}}    {value}" for name, value in facts), indent=width + 6)


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of what is known of a whole run."""
    counted = ("cycles", "addition_cost_cycles", "events", "silent_channels", "synaptic_operations")
    counted += ("weight_bytes_read", "dense_weight_bytes", "dram_bytes_read", "dram_bytes_written")
    counted += ("stall_cycles",)
    for name in counted:
        if (value := report.get(name)) is not None:
            yield name.replace("_", " "), f"{value:,}"
    yield from _effort(report)
    yield "bit exact", "true" if report["bit_exact"] else "false"
    yield "wall clock", f"{report['wall_seconds']:.1f} s"


def _effort(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of a run's spikes, time and energy, those that are known."""
    if spikes := report["spikes"]:
        each = (f"{coding} {of['spikes_per_value']:.3f}" for coding, of in spikes.items())
        yield "spikes per value", ", ".join(each)
        steps = (f"{coding} {of['time_steps']}" for coding, of in spikes.items())
        yield "time steps, at most", ", ".join(steps)
    if (seconds := report["clock_seconds"]) is not None:
        yield f"seconds at {report['clock_mhz']:g} MHz", f"{seconds:.6f}"
    if joules := report["joules"]:
        memory = report["memory_joules"] / joules
        yield "energy by the ledger", f"{joules * 1e6:,.1f} µJ, {memory:.1%} of it memory's"


def show(report: Mapping[str, object], as_json: bool) -> None:
    """Print a report to standard output."""
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        _show(report)
