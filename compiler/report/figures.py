"""The figures of a report that draw what a token takes: time, bytes, additions, joules, memory."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from compiler.predict.cycles import CAUSES
from compiler.programs.plan import Plan
from compiler.report.style import (
    COLOURS,
    FAMILIES,
    INK,
    LINE,
    energy_unit,
    family_of,
    number,
    percent,
)
from compiler.report.svg import byte_unit, label_logarithmic, svg

__all__ = ["bytes_moved", "causes", "energy", "memory", "roofline"]

_FAMILY_NAMES = {"cache": "keys and values (cache)", "attention": "attention's weights"}
_SAME_DECADES = 0.025
_MARKERS = {"q": "o", "k": "s", "v": "D", "o": "^", "gate": "v", "up": "<", "down": ">"}
_MARKERS |= {"keys": "P", "values": "X", "lm_head": "*"}
_KINDS = tuple(_MARKERS)
_GROUPS = {"arithmetic": "array", "vector unit": "vector"}  # where they are called otherwise


def _families() -> list[Patch]:
    """Return the legend of the parts of a model."""
    return [
        Patch(color=COLOURS[family], label=_FAMILY_NAMES.get(family, family)) for family in FAMILIES
    ]


def _by_kind(report: Mapping, name: str) -> dict[str, float]:
    totals = dict.fromkeys(_KINDS, 0.0)
    for product in report["products"]:
        totals[product["product"].rpartition(".")[2]] += product[name]
    return {kind: total for kind, total in totals.items() if total}


def roofline(plan: Plan, report: Mapping) -> str:
    """Draw what each kind of product reaches below the roofs of memory and array."""
    word = plan.params.axi_bytes * plan.words_a_cycle
    rows = plan.params.tokens
    adders = plan.params.lanes * rows

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        additions, touched, cycles = (
            _by_kind(report, name) for name in ("additions", "touched_bytes", "cycles")
        )
        x = {kind: additions[kind] / touched[kind] for kind in additions}
        span = np.geomspace(min(x.values()) / 2, max(adders / word, *x.values()) * 3, 100)
        axes.loglog(span, np.minimum(span * word, adders), color=INK, linewidth=1.2)
        axes.text(0.015, 0.97, f"slope: memory, {word:.3g} bytes a cycle", va="top",
                  transform=axes.transAxes)  # fmt: skip
        axes.annotate(f"level: array, {adders} adders", (span[-1], adders * 1.1), ha="right")
        if rows > 1:
            one = adders / rows
            axes.loglog(span, np.minimum(span * word, one), color=INK, linewidth=1.2, dashes=(4, 2))
            axes.annotate(f"{one:.0f} adders of one row", (span[-1], one * 1.1), ha="right")
        reached = {kind: additions[kind] / cycles[kind] for kind in additions}
        for nth, kind in enumerate(additions):
            # Hollow, each around those that lie where it does: none hides another.
            before = [*additions][:nth]
            around = sum(_near((x[k], reached[k]), (x[kind], reached[kind])) for k in before)
            axes.plot(x[kind], reached[kind], _MARKERS[kind], label=kind,
                      color=COLOURS[family_of(kind)], fillstyle="none",
                      markersize=5 + 3.5 * around, markeredgewidth=1.3)  # fmt: skip
        axes.set_ylim(min(*reached.values(), span[0] * word, adders / 4) / 1.7, adders * 1.8)
        axes.set_xlabel("additions for each byte fetched")
        axes.set_ylabel("additions a cycle")
        legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        for handle in legend.get_lines():
            handle.set_markersize(7)
        for axis in (axes.xaxis, axes.yaxis):
            label_logarithmic(axis)
        axes.grid(True, color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)

    return svg(draw, 6.4, 4.2)


def _near(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Return whether markers at two points of logarithmic axes would lie on each other."""
    return max(abs(np.log10(p / q)) for p, q in zip(a, b, strict=True)) < _SAME_DECADES


def causes(plan: Plan, report: Mapping) -> str:
    """Draw the cycles of each layer by what they are for."""
    layers = [entry for entry in report["layers"] if entry["layer"] is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        bottom = np.zeros(len(layers))
        for cause in CAUSES:
            height = np.array([entry["cycles"][cause] for entry in layers], float)
            if height.any():
                numbers = [entry["layer"] for entry in layers]
                axes.bar(numbers, height, 0.8, bottom=bottom, color=COLOURS[cause], label=cause)
            bottom += height
        axes.set_xlabel("layer")
        axes.set_ylabel("cycles")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.margins(x=0.01)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, 8.6, 2.9)


def bytes_moved(plan: Plan, report: Mapping) -> str:
    """Draw the bytes of each kind of product: touched of dense."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        dense, touched = _by_kind(report, "dense_bytes"), _by_kind(report, "touched_bytes")
        kinds = list(dense)[::-1]
        unit, name = byte_unit(max(dense.values()))
        axes.barh(kinds, [dense[kind] / unit for kind in kinds], color=COLOURS["dense"])
        axes.barh(kinds, [touched[kind] / unit for kind in kinds], 0.5,
                  color=[COLOURS[family_of(kind)] for kind in kinds])  # fmt: skip
        for at, kind in enumerate(kinds):
            axes.annotate(f" {percent(touched[kind] / dense[kind])}", (dense[kind] / unit, at),
                          va="center", fontsize=8.5)  # fmt: skip
        axes.set_xlabel(f"{name} a token, all layers together; touched, of dense")
        axes.set_ylabel("matrix, or part of the cache")
        axes.margins(x=0.08)
        handles = [Patch(color=COLOURS["dense"], label="dense: not touched"), *_families()]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, 8.6, 3.6)


def energy(report: Mapping) -> str:
    """Draw each design's joules by group, the least on top."""
    found = sorted(report["energy"]["designs"], key=lambda design: -design["total"])
    unit, name = energy_unit(min(design["total"] for design in found))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = [design["name"] for design in found]
        left = np.zeros(len(found))
        for group in map(str, report["energy"]["groups"]):
            width = np.array([design["joules"][group] for design in found]) / unit
            axes.barh(names, width, 0.7, left=left, label=group,
                      color=COLOURS[_GROUPS.get(group, group)])  # fmt: skip
            left += width
        for at, total in enumerate(left):
            axes.annotate(f" {number(total)}", (total, at), va="center", fontsize=8.5)
        for label in axes.get_yticklabels():
            if label.get_text() == report["energy"]["own"]:
                label.set_fontweight("bold")
        axes.set_xlabel(f"{name} a token")
        axes.margins(x=0.07)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, 8.6, 3.0)


def memory(plan: Plan, report: Mapping) -> str:
    """Draw what lies in memory, in the order of the addresses."""
    regions = report["memory"]["regions"]
    unit, name = byte_unit(report["memory"]["bytes"])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        kinds = [kind for kind, size in report["memory"]["by_kind"].items() if size]
        for kind in kinds:
            runs = [(r["address"] / unit, r["bytes"] / unit) for r in regions if r["kind"] == kind]
            axes.broken_barh(_merged(runs), (0, 1), color=COLOURS[kind], linewidth=0,
                             label=kind.replace("_", " "))  # fmt: skip
        axes.axvspan(0, report["memory"]["bytes"] / unit, color=COLOURS["padding"], zorder=0,
                     linewidth=0, label="padding")  # fmt: skip
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"address, {name}")
        axes.margins(x=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(kinds) + 1,
                    columnspacing=1, handlelength=1)  # fmt: skip

    return svg(draw, 8.6, 1.4)


def _merged(runs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join what lies side by side but for gaps no screen could show."""
    joined: list[list[float]] = []
    gap = sum(length for _, length in runs) * 1e-4
    for start, length in runs:
        if joined and start - sum(joined[-1]) <= gap:
            joined[-1][1] = start + length - joined[-1][0]
        else:
            joined.append([start, length])
    return [(start, length) for start, length in joined]
