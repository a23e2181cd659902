"""The plot of a sweep: cycles against LUTs, and against energy, with their fronts."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compiler.report.style import QUIET, SETTINGS
from sim.sweep.pareto import FRONTS
from sim.sweep.words import many

__all__ = ["draw"]

_COLOURS = ("#2f6690", "#e08e45", "#7a9e7e", "#b56576", "#6d597a", "#3a7d7c")  # of recipes
_MARKERS = {"csd": "o", "bitwise": "s", "unary": "^"}

Row = Mapping[str, object]


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
        "all_luts": (f"LUTs, estimated ({summary['fpga_family']})", 1),
        "joules_per_token": ("energy of a token, µJ (ledger)", 1e6),
    }
    recipes = list(dict.fromkeys(str(row["recipe"]) for row in rows))
    colours = {recipe: _COLOURS[i % len(_COLOURS)] for i, recipe in enumerate(recipes)}
    with matplotlib.rc_context(SETTINGS):
        made = Figure(figsize=(9.6, 4.4), layout="constrained")
        panels = made.subplots(1, 2, sharey=True)
        for axes, (name, costs) in zip(panels, FRONTS.items(), strict=True):
            label, unit = labels[costs[0]]
            _panel(axes, rows, costs[0], unit, summary["pareto"][name], colours)
            axes.set_xlabel(label)
        panels[0].set_ylabel("cycles of a token")
        made.suptitle(
            f"{summary['model']} {','.join(summary['layers'])}: "
            f"{many(summary['measured'], 'accelerator')}, "
            f"{many(summary['prompt_tokens'], 'token')}",
            fontsize=10.5,
        )
        made.legend(handles=_legend(rows, colours), loc="outside right center")
        text = io.StringIO()
        quiet = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        made.savefig(text, format="svg", metadata=quiet)
    return text.getvalue()


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
    for nth, (recipe, indices) in enumerate(fronts.items()):
        offset = ((4, 4), (-4, -11))[nth % 2]  # one recipe's numbers above, another's below
        at = [(rows[i][cost] * unit, rows[i]["cycles_per_token"]) for i in indices]
        axes.plot(*zip(*at, strict=True), color=colours[recipe], drawstyle="steps-post")
        for index, place in zip(indices, at, strict=True):
            dot(index, 5.5, 1.0)
            axes.annotate(
                str(index),
                place,
                xytext=offset,
                textcoords="offset points",
                ha=("left", "right")[nth % 2],
                color=colours[recipe],
                fontsize=7.5,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)


def _legend(rows: Sequence[Row], colours: Mapping[str, str]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, label=f"{recipe}, front") for recipe, colour in colours.items()
    ]
    codings = dict.fromkeys(str(row["coding"]) for row in rows)
    return lines + [
        Line2D([], [], color=QUIET, marker=_MARKERS[c], linestyle="", label=c) for c in codings
    ]
