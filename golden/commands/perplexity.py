"""`python -m golden perplexity`."""

import argparse
import json

from golden.commands.windows import read_windows
from golden.console.progress import Work
from golden.console.tables import print_lines, print_table
from golden.measure.firing import FiringStatistics
from golden.measure.perplexity import Measurement, measure
from golden.numerics.codings import CODINGS

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Measure, and print what was measured."""
    with Work("reading") as work:
        recipe, checkpoint, context, batches = read_windows(options)
        work.begin("windows", len(batches))
        found = measure(checkpoint, recipe, batches, work.advance, options.arithmetic)
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
    lines.append(
        f"weight bytes not fetched: {found.skipped:.1%}; {found.fetched:.3f} bytes a weight fetched"
    )
    if found.arithmetic == "integer":
        lines.append(
            f"residual stream: largest magnitude {found.largest_residual:.1f}, "
            f"{found.saturated_residuals} saturated"
        )
    print_lines(*lines)
    rows = (found.sites if per_layer else {}) | found.by_kind()
    print_table(
        ("site", *CODINGS, "silent", "clipped", "|n|<8"),
        ([name, *_cells(statistics)] for name, statistics in rows.items()),
        title="Spikes per value, and shares of the values",
    )


def _cells(statistics: FiringStatistics) -> list[str]:
    values, histogram = statistics.values, statistics.histogram()
    spikes = [f"{statistics.spikes(coding) / values:.2f}" for coding in CODINGS]
    shares = [histogram[0], statistics.clipped, sum(histogram[:8])]
    return spikes + [f"{share / values:.1%}" for share in shares]
