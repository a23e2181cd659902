"""`python -m golden perplexity`."""

import argparse
import json

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import MofNCompleteColumn
from rich.table import Table

from golden.commands.options import add_recipe, add_windows, progress_bar, read_windows
from golden.measure.firing import FiringStatistics
from golden.measure.perplexity import ARITHMETICS, DOCUMENT_END, Measurement, measure
from golden.numerics.encoding import CODINGS

__all__ = ["add"]

_ABOUT = f"""\
The text is cut into windows of --context tokens that do not overlap (a line {DOCUMENT_END} ends a
document, and no window spans two). In each window every token but the first is predicted from those
before it; perplexity is e to the mean cross-entropy of all predictions. The model runs twice on the
same windows: in fp32, and with every matrix driven by spikes as the recipe says. What is between
the matrices is then in float, or with --arithmetic integer what a device computes.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "perplexity",
        help="perplexity in fp32 and by spikes, and how each site fires",
        description=_ABOUT,
    )
    add_windows(parser)
    add_recipe(parser)
    parser.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default="float",
        help="what the spiking model computes in between its matrices (default: %(default)s)",
    )
    parser.add_argument(
        "--per-layer", action="store_true", help="in the table, a row for each site of each layer"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    recipe, checkpoint, context, batches = read_windows(options)
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("windows", total=len(batches))
        found = measure(
            checkpoint, recipe, batches, lambda: progress.advance(task), options.arithmetic
        )
    about = {
        "model": options.model,
        "text": str(options.text),
        "recipe": options.recipe,
        "context": context,
        "windows": len(batches),
        "tokens": sum(len(ids) for ids in batches),
    }
    if options.json:
        print(json.dumps(about | found.as_dict()))
    else:
        _print_table(about, found, options.per_layer)


def _print_table(about: dict[str, object], found: Measurement, per_layer: bool) -> None:
    lines = [", ".join(f"{key} {value}" for key, value in about.items())]
    for name, loss in (("fp32", found.fp32), ("spiking", found.spiking)):
        figures = f"perplexity {loss.perplexity:.3f}, {loss.nats_per_token:.4f} nats a token"
        lines.append(f"{name:8}{figures}")
    divergence = found.divergence / found.fp32.predictions
    lines.append(f"divergence of spiking from fp32: {divergence:.4f} nats a token")
    operations = ", ".join(f"{coding} {found.spikes_per_weight(coding):.2f}" for coding in CODINGS)
    lines.append(f"spikes per weight: {operations}")
    lines.append(f"weight bytes not fetched: {found.skipped:.1%}")
    if found.arithmetic == "integer":
        lines.append(
            f"residual stream: largest magnitude {found.largest_residual:.1f}, "
            f"{found.saturated_residuals} saturated"
        )
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    title = "Spikes per value, and shares of the values"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("site", no_wrap=True)
    for heading in (*CODINGS, "silent", "clipped", "|n|<8"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = (found.sites if per_layer else {}) | found.by_kind()
    for name, statistics in rows.items():
        table.add_row(name, *_cells(statistics))
    console.print(table)


def _cells(statistics: FiringStatistics) -> list[str]:
    values, histogram = statistics.values, statistics.histogram()
    spikes = [f"{statistics.spikes(coding) / values:.2f}" for coding in CODINGS]
    shares = [histogram[0], statistics.clipped, sum(histogram[:8])]
    return spikes + [f"{share / values:.1%}" for share in shares]
