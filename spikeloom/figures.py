"""Figures of spikes, for a notebook or a paper."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import figure, rc_context, ticker
from numpy.typing import NDArray

from compiler.report.style import COLOURS, INK, LINE, SERIES, SETTINGS
from golden.numerics.codings import CODINGS

if TYPE_CHECKING:
    from spikeloom.spikes import Spikes

__all__ = ["Figure", "draw_raster", "plot_firing"]

_CHANNELS = 128  # that a raster shows unless told: more are thinner than a line of print
_POSITIVE, _NEGATIVE = SERIES[:2]
_STYLE: Any = SETTINGS  # Matplotlib types the names of its settings one by one


class Figure(figure.Figure):
    """A figure of Matplotlib that a notebook shows as SVG; all that Matplotlib offers is there."""

    def save(self, path: str | Path) -> Path:
        """Write the figure: ``.svg``, ``.pdf`` or ``.png``, the same bytes each time.

        Raises
        ------
        ValueError
            Where Matplotlib does not write files of that ending.
        """
        path = Path(path)
        with rc_context(_STYLE):
            self.savefig(path, metadata=_dateless(path.suffix), bbox_inches="tight")
        return path

    def _repr_svg_(self) -> str:
        """Return the figure as Jupyter shows it."""
        text = StringIO()
        with rc_context(_STYLE):
            self.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
        return text.getvalue()


def _dateless(suffix: str) -> dict[str, None]:
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix.lower(), {})


def draw_raster(spikes: "Spikes", coding: str, *, tokens: Any, channels: Any) -> Figure:
    """Draw spike trains; see `spikeloom.Spikes.raster`."""
    train = spikes.train(coding)  # (T, tokens, channels)
    every = np.arange(train.shape[1]), np.arange(train.shape[2])
    token_ids = every[0] if tokens is None else _picked("tokens", every[0], tokens)
    channel_ids = _picked("channels", every[1], slice(_CHANNELS) if channels is None else channels)
    if not token_ids.size or not channel_ids.size:
        raise ValueError("a raster must have at least one token and one channel")
    steps = len(train)
    shown = train[:, token_ids][:, :, channel_ids]
    across = shown.transpose(1, 0, 2).reshape(-1, len(channel_ids))  # (tokens * T, channels)
    with rc_context(_STYLE):
        width = min(7.0, max(3.0, 0.12 * len(across)))
        drawn = Figure(figsize=(width, 3.2), layout="constrained")
        axes = drawn.add_subplot()
        for sign, color, label in ((1, _POSITIVE, "+1"), (-1, _NEGATIVE, "−1")):
            at, channel = np.nonzero(across == sign)
            axes.scatter(at, channel, s=5, marker="s", lw=0, color=color, label=label)
        for edge in range(steps, len(across), steps):
            axes.axvline(edge - 0.5, color=LINE, lw=0.5)
        axes.set_xlim(-0.5, len(across) - 0.5)
        axes.set_ylim(-0.5, len(channel_ids) - 0.5)
        ticks = np.unique(np.linspace(0, len(channel_ids) - 1, 6).astype(int))
        axes.set_yticks(ticks, [str(channel) for channel in channel_ids[ticks]])
        axes.set_xlabel(f"time step, {steps} a token ({coding})")
        axes.set_ylabel("channel")
        centres = np.arange(len(token_ids)) * steps + (steps - 1) / 2
        axes.set_xticks(centres, [f"token {token}" for token in token_ids])
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)
        axes.set_title(spikes.name, loc="right", color=INK)
    return drawn


def _picked(name: str, every: NDArray[Any], asked: Any) -> NDArray[Any]:
    if not isinstance(asked, slice) and not np.size(asked):
        return every[:0]
    try:
        picked = every[asked if isinstance(asked, slice) else np.asarray(asked)]
    except (IndexError, TypeError, ValueError):
        picked = None
    if picked is None or np.ndim(picked) != 1:
        raise ValueError(
            f"{name} must be a slice or indices of the {len(every)} there are, not {asked!r}"
        )
    return picked


def plot_firing(sites: "Mapping[str, Spikes]") -> Figure:
    """Draw how sites fire: spikes a value in each coding, and the share of silent values.

    Parameters
    ----------
    sites : mapping of str to Spikes
        By the name that the figure gives it.

    Raises
    ------
    ValueError
        Where there is no site.
    """
    if not isinstance(sites, Mapping):
        kind = type(sites).__name__
        raise ValueError(f"sites must be a mapping of names to Spikes, not a {kind}")
    if not sites:
        raise ValueError("a figure must have at least one site")
    where = np.arange(len(sites))
    with rc_context(_STYLE):
        drawn = Figure(figsize=(7.0, 2.8), layout="constrained")
        left, right = drawn.subplots(1, 2)
        for place, coding in enumerate(CODINGS):  # dots: a bar needs a zero, a logarithm has none
            means = [site.count(coding) / site.counts.size for site in sites.values()]
            left.plot(where, means, "o", color=SERIES[place], label=coding)
        left.set_yscale("log")
        left.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        left.yaxis.set_minor_locator(ticker.NullLocator())
        left.grid(axis="y", color=LINE)
        left.margins(x=0.15, y=0.1)
        left.set_ylabel("spikes per value")
        left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(CODINGS), columnspacing=1)
        silent = [100 * site.silent_values for site in sites.values()]
        right.bar(where, silent, 0.6, color=COLOURS["silent"])
        right.set_ylim(0, 100)
        right.set_ylabel("silent values, %")
        for axes in (left, right):
            axes.set_xticks(where, list(sites), rotation=30, ha="right")
    return drawn
