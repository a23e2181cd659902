"""`python -m compiler energy`."""

import argparse
import json

from compiler.commands.prediction_request import asked
from compiler.energy.ledger import GROUPS
from compiler.energy.report import energy_report
from compiler.models.known import KNOWN_MODELS
from golden.console.progress import Work
from golden.console.tables import print_lines, print_table
from hw.contract.presets import preset

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Print what a token costs in each design."""
    with Work("counting"):
        of = asked(options)
        named = KNOWN_MODELS.get(options.model)
        params = preset(options.preset or (named.preset if named is not None else "edge"))
        report = energy_report(of.config, of.recipe, params, of.position, of.prompt, of.profile)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    rows = []
    for row in report["designs"]:
        name = row["design"] + (" (as published)" if row["firing"] == "published" else "")
        values = (*row["groups"].values(), row["joules"])
        rows.append([name, *(_millijoules(value) for value in values)])
    print_table(
        ("design", *GROUPS, "all"),
        rows,
        title=f"{of.config.name}, {of.recipe.name}: millijoules of the token at position "
        f"{of.position:,}, DDR4",
    )
    print_lines(f"firing: {report['firing']}")
    print_lines("counts, constants, sources: --json; see docs/energy.md")


def _millijoules(joules: float) -> str:
    value = 1e3 * joules
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
