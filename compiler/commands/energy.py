"""`python -m compiler energy`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from compiler.commands.prediction_request import asked
from compiler.energy.ledger import GROUPS, designs
from compiler.energy.report import energy_report
from compiler.models.known import KNOWN_MODELS
from compiler.predict.activity import CODING
from compiler.predict.workload import usual_width
from compiler.report.energy import verdict
from golden.console.progress import Work
from golden.console.tables import figure, print_lines, print_table
from hw.contract.presets import preset

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Print what a token costs in each design."""
    with Work("counting"):
        of = asked(options)
        named = KNOWN_MODELS.get(options.model)
        params = preset(options.preset or (named.preset if named is not None else "edge"))
        report = energy_report(
            of.config, of.recipe, params, of.position, of.prompt, of.profile, of.grids
        )
    if options.json:
        print(json.dumps(report, indent=1))
        return
    rows = []
    for row in report["designs"]:
        name = row["design"] + (" (as published)" if row["firing"] == "published" else "")
        values = (*row["groups"].values(), row["joules"])
        rows.append([name, *(figure(1e3 * value) for value in values)])
    print_table(
        ("design", *GROUPS, "all"),
        rows,
        title=f"{of.config.name}, {of.recipe.name}: millijoules of the token at position "
        f"{of.position:,}, DDR4",
    )
    print_lines(_verdict(report, usual_width(of.config, of.recipe, of.grids)))
    print_lines(f"firing: {report['firing']}")
    print_lines("counts, constants, sources: --json; see docs/energy.md")


def _verdict(report: Mapping[str, Any], weight_width: int) -> str:
    """Say which design takes least, and how the hardware's own stands against it."""
    known = {design.name: design for design in designs(weight_width)}
    spikes = report["hardware"]["array"] == "spike"
    own = next(
        name
        for name, design in known.items()
        if (design.coding == CODING if spikes else design.operations == "multiplications")
    )
    found = [
        {
            "name": row["design"],
            "weight_width": known[row["design"]].weight_width,
            "total": row["joules"],
        }
        for row in report["designs"]
        if row["firing"] != "published"
    ]
    return verdict(found, own, "the")
