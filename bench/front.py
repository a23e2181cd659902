"""Perplexity against bytes skipped, of calibrations: `python -m bench.front REPORT... -o SVG`."""

import argparse
import json
from pathlib import Path

from bench.figures import SETTINGS

__all__ = ["draw"]


def draw(reports: list[dict], path: Path) -> None:
    """Draw the points of reports of `python -m golden calibrate --report`, a curve a model."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    curves: dict[str, list[tuple[float, float]]] = {}
    for report in reports:
        points = [(100 * p["skipped"], p["ratio"]) for p in report["points"]]
        curves.setdefault(report["model"], []).extend(points)
    with pyplot.rc_context(SETTINGS):
        figure, axes = pyplot.subplots(figsize=(6, 3.4))
        for model, points in curves.items():
            axes.plot(*zip(*sorted(points), strict=True), ".-", label=model)
        for budget in (1.05, 1.10):
            axes.axhline(budget, color="firebrick", linewidth=0.8)
        axes.set_xlabel("weight bytes not fetched, %")
        axes.set_ylabel("perplexity over fp32")
        axes.set_ylim(0.99, 1.2)
        axes.legend(loc="upper left", framealpha=0.9)
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.front", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path)
    options = parser.parse_args()
    draw([json.loads(path.read_text()) for path in options.reports], options.output)
