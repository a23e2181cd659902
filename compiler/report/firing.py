"""The figures of how sites fire: silent channels by site and layer, and spikes of a token."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from compiler.programs.plan import Plan
from compiler.report.style import COLOURS, INK, percent
from compiler.report.svg import svg
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import MAX_COUNT
from golden.recipe.recipe import SITES

__all__ = ["firing", "raster"]

_CHANNELS = 96
_SPIKES = {1: "#2166ac", -1: "#b2182b"}
_LINEAR = 30  # of the largest difference from a mean, the part that is drawn linearly
_ALIKE = 5e-4  # a share of channels that no colour shows


def firing(plan: Plan, report: Mapping) -> str:
    """Draw the share of channels that are silent, by site; and by layer where layers differ."""
    sites = [site for site in SITES if site != "head"]
    silent = np.full((len(sites), plan.config.layers), np.nan)
    for entry in report["firing"]:
        if entry["layer"] is not None:
            silent[sites.index(entry["site"]), entry["layer"]] = entry["silent"]
    names = [site.replace("_", ", ") for site in sites]
    if np.ptp(silent, axis=1).max() < _ALIKE:
        return svg(lambda figure: _bars(figure.subplots(), names, silent[:, 0]), 6.4, 2.2)
    return svg(lambda figure: _map(figure, names, silent), 8.6, 2.6)


def _bars(axes: Axes, names: list[str], silent: np.ndarray) -> None:
    """Draw one share a site: (sites,)."""
    axes.barh(names[::-1], silent[::-1], 0.7, color=COLOURS["silent"])
    for at, share in enumerate(silent[::-1]):
        axes.annotate(f" {percent(share, 1)}", (share, at), va="center", fontsize=8.5)
    axes.set_xlabel("channels that are silent for a token, every layer alike")
    axes.set_ylabel("site")
    axes.xaxis.set_major_formatter(lambda x, _: percent(x))
    axes.margins(x=0.1)


def _map(figure: Figure, names: list[str], silent: np.ndarray) -> None:
    """Draw shares by site and layer, (sites, layers): means as numbers, the rest as colour."""
    axes = figure.subplots()
    means = silent.mean(axis=1)
    points = 100 * (silent - means[:, None])
    most = np.abs(points).max()
    # Linear near the mean, logarithmic far from it: one site's spread hides no other's.
    norm = SymLogNorm(linthresh=most / _LINEAR, linscale=0.5, vmin=-most, vmax=most)
    image = axes.imshow(points, aspect="auto", cmap="PuOr", norm=norm, interpolation="nearest")
    labels = [f"{name}: {percent(mean, 1)}" for name, mean in zip(names, means, strict=True)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylabel("site: mean of its layers")
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    bar.set_label("silent channels,\npoints from the mean")
    bar.set_ticks([sign * most / part for sign in (-1, 1) for part in (1, 10)] + [0])
    bar.ax.yaxis.set_major_formatter(lambda y, _: f"{y:+.2g}" if y else "0")
    bar.minorticks_off()
    bar.outline.set_visible(False)


def raster(counts: Mapping[str, np.ndarray], coding: str) -> str:
    """Draw the spikes of a layer's sites over the time steps of a token, the first one's."""
    import torch

    most = max(int(np.abs(of_site).max()) for of_site in counts.values())
    shift = (-(-most // MAX_COUNT) - 1).bit_length() if most else 0
    steps = time_steps_for(MAX_COUNT, coding, shift)
    colours = ListedColormap([_SPIKES[-1], "#ffffff", _SPIKES[1]])

    def draw(figure: Figure) -> None:
        rows = figure.subplots(1, len(counts), squeeze=False)[0]
        for axes, (site, of_site) in zip(rows, counts.items(), strict=True):
            n = torch.from_numpy(np.asarray(of_site)[0][:_CHANNELS].astype(np.int16))
            spikes = encode(n, coding, steps).numpy()  # (steps, channels)
            axes.imshow(spikes.T, aspect="auto", cmap=colours, vmin=-1, vmax=1,
                        interpolation="nearest")  # fmt: skip
            axes.set_title(site.rpartition(".")[2].replace("_", ", "), fontsize=9)
            axes.set_xlabel("time step")
            axes.tick_params(labelleft=axes is rows[0])
        rows[0].set_ylabel("channel")
        handles = [
            Patch(color=_SPIKES[1], label="spike of +1"),
            Patch(color=_SPIKES[-1], label="spike of -1"),
            Patch(facecolor="#ffffff", edgecolor=INK, linewidth=0.5, label="none"),
        ]
        figure.legend(handles=handles, loc="outside right center")

    return svg(draw, 8.6, 2.8)
