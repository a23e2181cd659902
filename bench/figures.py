"""Figures of generated pages, as small SVG files that are the same for the same report."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compiler.report.style import SETTINGS

__all__ = ["FIGURES", "front", "roofline"]

_SHADES = ("steelblue", "cadetblue", "slategray", "dimgray")  # of three layers, and the rest


@contextmanager
def _axes(path: Path, width: float, height: float) -> Iterator[Any]:
    """Give axes, in inches, to draw on; then write the file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context(SETTINGS):
        figure, axes = pyplot.subplots(figsize=(width, height))
        yield axes
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def roofline(report: dict[str, Any], path: Path) -> None:
    """Draw each layer's cycles over those that its dense bytes need, beside its touched bytes."""
    rows = [row for row in report["rows"] if row["activations"] == "prompt"]
    names = [row["name"] for row in rows]
    numbers = [re.sub(r"^\D+", "", name) for name in names]  # of the layers
    shades = dict(zip(dict.fromkeys(numbers), _SHADES, strict=False))
    with _axes(path, 8, 3.2) as axes:
        axes.bar(
            names,
            [row["cycles_to_dense"] for row in rows],
            color=[shades[number] for number in numbers],
            label="cycles of the RTL",
        )
        axes.plot(
            names,
            [row["touched_cycles"] / row["dense_cycles"] for row in rows],
            "_",
            color="black",
            markersize=9,
            label="touched bytes",
        )
        axes.axhline(1, color="firebrick", linewidth=0.8, label="dense roofline")
        axes.set_ylabel("of the dense bytes' cycles")
        axes.tick_params(axis="x", rotation=90)
        axes.margins(x=0.01)
        axes.legend(loc="lower right", framealpha=0.9)


def front(report: dict[str, Any], path: Path) -> None:
    """Draw perplexity against bytes not fetched, a curve for each thing done to the model."""
    with _axes(path, 6, 3.4) as axes:
        for title, points in report["curves"].items():
            line = sorted((100 * point["skipped"], point["ratio"]) for point in points)
            axes.plot(*zip(*line, strict=True), ".-", label=title)
        for budget in (1.05, 1.10):
            axes.axhline(budget, color="firebrick", linewidth=0.8)
        axes.set_xlabel("weight bytes not fetched, %")
        axes.set_ylabel("perplexity over fp32")
        axes.set_ylim(top=1.3)
        axes.legend(loc="upper left", framealpha=0.9)


FIGURES = {"roofline": {"roofline.svg": roofline}, "front": {"quality.svg": front}}
"""By bench, its figures by file name, and what draws them."""
