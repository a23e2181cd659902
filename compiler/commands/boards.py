"""`python -m compiler boards`."""

import argparse
import json

from compiler.boards.board import board_called
from compiler.boards.report import boards_report
from compiler.commands.prediction_request import asked
from compiler.passes.coding import check_coding
from compiler.predict.activity import CODING
from golden.console.progress import Work
from golden.console.tables import figure, print_lines, print_table

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Print what fits each board, and what is predicted of it."""
    coding = options.coding or CODING
    if options.board is not None:
        board_called(options.board)
    check_coding(coding)
    with Work("fitting accelerators to boards"):
        of = asked(options)
        of_token = (of.position, of.prompt, of.profile, options.board, coding, of.grids)
        report = boards_report(of.config, of.recipe, *of_token)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    rows = []
    for row in report["boards"]:
        if "params" in row:
            params = row["params"]
            array = " x ".join(str(params[key]) for key in ("tokens", "lanes", "banks"))
            cells = [row["cores"], array, params["axi_data_width"]]
            cells += [figure(row["tokens_per_second"]), row["bound"]]
            cells += [figure(row[key]) for key in ("prompt_seconds", "joules_per_token")]
            rows.append([row["key"], *cells])
    headings = ("board", "cores", "array", "port", "tokens/s", "limited by")
    print_table(
        (*headings, "prompt s", "J/token"),
        rows,
        title=f"{of.config.name}, {of.recipe.name}: the token at position {of.position:,}, and a "
        f"prompt of {of.prompt:,} tokens, predicted (docs/boards.md)"
        + ("" if rows else ": no board fits"),
        left=(0, 5),
    )
    if rows:
        print_lines("array: tokens x lanes x banks; port: bits of memory's")
    print_lines(*(f"{row['key']}: {row['reason']}" for row in report["boards"]))
    print_lines(f"firing: {report['firing']}")
