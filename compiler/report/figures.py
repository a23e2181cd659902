"""The figures of a report, as SVG text: the same text for the same plan."""

import io
from collections.abc import Callable, Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from compiler.predict.cycles import CAUSES
from compiler.programs.plan import Plan
from compiler.report.style import INK, PALETTE, SETTINGS
from compiler.report.trace import UNITS, unit_of
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import MAX_COUNT
from golden.recipe.recipe import SITES
from hw.contract.isa import Opcode

__all__ = ["bytes_moved", "causes", "firing", "memory", "raster", "roofline", "timeline"]

_BATCHES = 3  # of heads, in the picture of attention
_MARKERS = "osD^v"
_SAME_DECADES = 0.025
_KINDS = ("q", "k", "v", "o", "gate", "up", "down", "keys", "values", "lm_head")


def _svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        quiet = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=quiet, transparent=True)
    return text.getvalue()


def _by_kind(report: Mapping, name: str) -> dict[str, float]:
    totals = dict.fromkeys(_KINDS, 0.0)
    for product in report["products"]:
        totals[product["product"].rpartition(".")[2]] += product[name]
    return {kind: total for kind, total in totals.items() if total}


def roofline(plan: Plan, report: Mapping) -> str:
    """Draw what each kind of product reaches below the roofs of memory and array."""
    word = plan.params.axi_bytes * plan.words_a_cycle
    adders = plan.params.lanes * plan.params.tokens

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        additions, touched, dense, cycles = (
            _by_kind(report, name)
            for name in ("additions", "touched_bytes", "dense_bytes", "cycles")
        )
        x = {kind: additions[kind] / touched[kind] for kind in additions}
        span = np.geomspace(min(x.values()) / 2, max(adders / word, *x.values()) * 3, 100)
        axes.loglog(span, np.minimum(span * word, adders), color=INK, linewidth=1.2)
        start = (span[0], min(span[0] * word, adders))
        axes.annotate(f"{word:.3g} bytes a cycle", start, (6, -3), va="top",
                      textcoords="offset points")  # fmt: skip
        axes.annotate(f"{adders} adders", (span[-1], adders * 1.1), ha="right")
        reached = {kind: additions[kind] / cycles[kind] for kind in additions}
        for number, kind in enumerate(additions):
            # Hollow, each around those that lie where it does: none hides another.
            before = [*additions][:number]
            around = sum(_near((x[k], reached[k]), (x[kind], reached[kind])) for k in before)
            axes.plot(x[kind], reached[kind], _MARKERS[number % len(_MARKERS)], label=kind,
                      color=PALETTE[number % len(PALETTE)], fillstyle="none",
                      markersize=5 + 3.5 * around, markeredgewidth=1.3)  # fmt: skip
        axes.set_ylim(min(*reached.values(), span[0] * word, adders / 4) / 1.7, adders * 1.8)
        axes.set_xlabel("additions for each byte that is fetched")
        axes.set_ylabel("additions a cycle")
        legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        for handle in legend.legend_handles:
            handle.set_markersize(7)
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=_steps(high / low), numticks=100))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(True, color="#e4e7eb", linewidth=0.6)
        axes.set_axisbelow(True)

    return _svg(draw, 6.4, 4.2)


def _near(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Return whether markers at two points of logarithmic axes would lie on each other."""
    return max(abs(np.log10(p / q)) for p, q in zip(a, b, strict=True)) < _SAME_DECADES


def _steps(ratio: float) -> tuple[int, ...]:
    """Return where a decade of a logarithmic axis is labelled: at least three labels in all."""
    return (1, 2, 3, 5) if ratio < 30 else (1, 2, 5) if ratio < 1000 else (1,)


def causes(plan: Plan, report: Mapping) -> str:
    """Draw the cycles of each layer by what they are for."""
    layers = [entry for entry in report["layers"] if entry["layer"] is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        bottom = np.zeros(len(layers))
        for cause, shade in zip(CAUSES, PALETTE, strict=False):
            height = np.array([entry["cycles"][cause] for entry in layers], float)
            if height.any():
                numbers = [entry["layer"] for entry in layers]
                axes.bar(numbers, height, 0.8, bottom=bottom, color=shade, label=cause)
            bottom += height
        axes.set_xlabel("layer")
        axes.set_ylabel("cycles")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.01)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return _svg(draw, 8.6, 2.9)


def bytes_moved(plan: Plan, report: Mapping) -> str:
    """Draw the bytes of each kind of product: touched of dense."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        dense, touched = _by_kind(report, "dense_bytes"), _by_kind(report, "touched_bytes")
        kinds = list(dense)[::-1]
        unit, name = _unit(max(dense.values()))
        axes.barh(kinds, [dense[k] / unit for k in kinds], color="#dfe3e8", label="dense")
        axes.barh(kinds, [touched[k] / unit for k in kinds], 0.45, color=PALETTE[0],
                  label="touched")  # fmt: skip
        for at, kind in enumerate(kinds):
            axes.annotate(f" {touched[kind] / dense[kind]:.0%}", (dense[kind] / unit, at),
                          va="center", fontsize=8.5)  # fmt: skip
        axes.set_xlabel(f"{name} a token, all layers together")
        axes.margins(x=0.08)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)

    return _svg(draw, 6.4, 3.6)


def firing(plan: Plan, report: Mapping) -> str:
    """Draw the share of channels that fire, layer by layer and site by site."""
    sites = [site for site in SITES if site != "head"]
    rates = np.full((len(sites), plan.config.layers), np.nan)
    for entry in report["firing"]:
        if entry["layer"] is not None:
            rates[sites.index(entry["site"]), entry["layer"]] = 1 - entry["silent"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(rates, aspect="auto", cmap="YlGnBu", vmin=0, vmax=1,
                            interpolation="nearest")  # fmt: skip
        axes.set_yticks(range(len(sites)), [site.replace("_", ", ") for site in sites])
        axes.set_xlabel("layer")
        axes.xaxis.get_major_locator().set_params(integer=True)
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        bar.set_label("channels that fire")
        bar.ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        bar.outline.set_visible(False)

    return _svg(draw, 8.6, 2.4)


def memory(plan: Plan, report: Mapping) -> str:
    """Draw what lies in memory, in the order of the addresses."""
    regions = report["memory"]["regions"]
    unit, name = _unit(report["memory"]["bytes"])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        kinds = [kind for kind, size in report["memory"]["by_kind"].items() if size]
        for number, kind in enumerate(kinds):
            runs = [(r["address"] / unit, r["bytes"] / unit) for r in regions if r["kind"] == kind]
            shade = PALETTE[number % len(PALETTE)]
            axes.broken_barh(_merged(runs), (0, 1), color=shade, linewidth=0, label=kind)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"address, {name}")
        axes.margins(x=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(kinds), columnspacing=1,
                    handlelength=1)  # fmt: skip

    return _svg(draw, 8.6, 1.4)


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


def timeline(plan: Plan, layer: int, attention: bool = False) -> str:
    """Draw when the instructions of a layer are executed, unit by unit.

    With `attention` only from the first STORE to the end of the third batch of heads.
    """
    steps = [step for step in plan.prediction.steps if step.cost.layer == layer]
    begin = min(step.start for step in steps)
    if attention:
        values = [at for at, step in enumerate(steps) if step.cost.name.endswith(".values")]
        first = next(at for at, step in enumerate(steps) if step.cost.opcode is Opcode.STORE)
        steps = steps[first : values[:_BATCHES][-1] + 1]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        end = max(step.start + step.cycles for step in steps) - min(s.start for s in steps)
        names = list(dict.fromkeys(step.cost.name.rpartition(".")[2] for step in steps))
        shades = {name: matplotlib.colormaps["tab20"](i % 20) for i, name in enumerate(names)}
        for step in steps:
            name = step.cost.name.rpartition(".")[2]
            row = len(UNITS) - 1 - UNITS.index(unit_of(step.cost.opcode))
            start = step.start - begin
            axes.broken_barh([(start, step.cycles)], (row - 0.38, 0.76), color=shades[name],
                             linewidth=0.6)  # fmt: skip
            if step.cycles > (0.05 if attention else 0.025) * end:
                axes.annotate(name.replace("_", " "), (start + step.cycles / 2, row),
                              ha="center", va="center", fontsize=8)  # fmt: skip
        axes.set_yticks(range(len(UNITS)), UNITS[::-1])
        axes.set_xlabel(f"cycles from the start of layer {layer}")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.margins(x=0.005)

    return _svg(draw, 8.6, 2.2)


def raster(counts: Mapping[str, np.ndarray], coding: str) -> str:
    """Draw the spikes of a layer's sites over the time steps of a token, the first one's."""
    import torch

    steps = time_steps_for(MAX_COUNT, coding)

    def draw(figure: Figure) -> None:
        rows = figure.subplots(1, len(counts), squeeze=False)[0]
        for axes, (site, of_site) in zip(rows, counts.items(), strict=True):
            n = torch.from_numpy(np.asarray(of_site)[0][:96].astype(np.int8))
            spikes = encode(n, coding, steps).numpy()  # (steps, channels)
            axes.imshow(spikes.T, aspect="auto", cmap="RdBu", vmin=-1.6, vmax=1.6,
                        interpolation="nearest")  # fmt: skip
            axes.set_title(site.rpartition(".")[2], fontsize=9)
            axes.set_xlabel("time step")
            axes.tick_params(labelleft=axes is rows[0])
        rows[0].set_ylabel("channel")

    return _svg(draw, 8.6, 2.8)


def _unit(largest: float) -> tuple[float, str]:
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= size:
            return size, name
    return 1.0, "bytes"
