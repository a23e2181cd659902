"""The plot of a sweep: cycles a token against LUTs, and against energy, with their fronts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compiler.report.style import INK, LINE, QUIET, SERIES
from compiler.report.svg import label_logarithmic, svg
from sim.sweep.pareto import FRONTS
from sim.sweep.words import many

__all__ = ["draw"]

_APART = (0.06, 0.035)  # of a panel's width and height, between two numbers
_MARKERS = {"csd": "o", "bitwise": "s", "unary": "^"}

Row = Mapping[str, Any]


def draw(rows: Sequence[Row], summary: Mapping) -> str:
    """Return the plot as SVG text, the same for the same rows.

    Parameters
    ----------
    rows : sequence of mapping
        By `sim.sweep.table.SCHEMA`; those without figures are left out.
    summary : mapping
        Of `sim.sweep.run.sweep`: its fronts are drawn, its numbers of rows label them.
    """
    labels = {
        "all_luts": (f"thousand LUTs, predicted ({summary['fpga_family']})", 1e-3),
        "joules_per_token": ("µJ a token, predicted (ledger)", 1e6),
    }
    recipes = list(dict.fromkeys(str(row["recipe"]) for row in rows))
    colours = {recipe: SERIES[i % len(SERIES)] for i, recipe in enumerate(recipes)}

    def drawn(made: Figure) -> None:
        panels = made.subplots(1, 2, sharey=True)
        for axes, (name, costs) in zip(panels, FRONTS.items(), strict=True):
            label, unit = labels[costs[0]]
            _panel(axes, rows, costs[0], unit, summary["pareto"][name], colours)
            axes.set_xlabel(label)
        panels[0].set_ylabel("cycles a token, exact (cycle device)")
        made.suptitle(
            f"{summary['model']} {','.join(summary['layers'])}: "
            f"{many(summary['measured'], 'accelerator')}, "
            f"{many(summary['prompt_tokens'], 'token')}",
            fontsize=10.5,
        )
        made.legend(handles=_legend(rows, colours), loc="outside right center")

    return svg(drawn, 9.6, 4.4, background="white")


def _panel(
    axes: Axes,
    rows: Sequence[Row],
    cost: str,
    unit: float,
    fronts: Mapping[str, Sequence[int]],
    colours: Mapping[str, str],
) -> None:
    def dot(index: int, size: float, opacity: float) -> None:
        row = rows[index]
        guessed = cost == "all_luts" and row["area_is_extrapolated"]
        axes.plot(
            row[cost] * unit,
            row["cycles_per_token"],
            _MARKERS[str(row["coding"])],
            color=colours[str(row["recipe"])],
            alpha=opacity,
            markersize=size,
            markerfacecolor="white" if guessed else None,
        )

    for index, row in enumerate(rows):
        if row.get(cost) is not None:
            dot(index, 4.5, 0.35)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.08)
    for nth, (recipe, indices) in enumerate(fronts.items()):
        offset = ((4, 4), (-4, -11))[nth % 2]  # one recipe's numbers above, another's below
        at = [(rows[i][cost] * unit, rows[i]["cycles_per_token"]) for i in indices]
        axes.plot(*zip(*at, strict=True), color=colours[recipe], drawstyle="steps-post")
        for index in indices:
            dot(index, 5.5, 1.0)
        for numbers, place in _neighbours(axes, indices, at):
            axes.annotate(
                ", ".join(map(str, numbers)),
                place,
                xytext=offset,
                textcoords="offset points",
                ha=("left", "right")[nth % 2],
                color=colours[recipe],
                fontsize=7.5,
            )
    for axis in (axes.xaxis, axes.yaxis):
        label_logarithmic(axis)
    axes.grid(True, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _neighbours(
    axes: Axes, indices: Sequence[int], at: Sequence[tuple[float, float]]
) -> Iterator[tuple[list[int], tuple[float, float]]]:
    """Yield points whose numbers would lie on each other as one: their indices, and its place."""
    spans = [np.ptp(np.log10(limits)) for limits in (axes.get_xlim(), axes.get_ylim())]
    group: list[int] = []
    for index, place, after in zip(indices, at, [*at[1:], None], strict=True):
        group.append(index)
        if after is not None:
            apart = np.abs(np.log10(np.array(after) / np.array(place))) / spans
            if (apart < _APART).all():
                continue
        yield group, place
        group = []


def _legend(rows: Sequence[Row], colours: Mapping[str, str]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, label=f"{recipe}, front") for recipe, colour in colours.items()
    ]
    codings = dict.fromkeys(str(row["coding"]) for row in rows)
    lines += [
        Line2D([], [], color=QUIET, marker=_MARKERS[c], linestyle="", label=c) for c in codings
    ]
    if any(row.get("area_is_extrapolated") for row in rows):
        hollow = Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="")
        hollow.set_label("LUTs extrapolated")
        lines.append(hollow)
    return lines
