"""How figures and numbers look, wherever they are shown."""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "COLOURS",
    "FAMILIES",
    "INK",
    "LINE",
    "QUIET",
    "SERIES",
    "SETTINGS",
    "energy_unit",
    "family_of",
    "joules",
    "number",
    "percent",
]

INK, QUIET, LINE = "#1f2933", "#7b8794", "#e4e7eb"
SERIES = ("#2f6690", "#e08e45", "#7a9e7e", "#b56576", "#6d597a", "#3a7d7c")
"""Of what has no colour of its own, such as recipes."""
COLOURS: Mapping[str, str] = {
    # what a cycle, an instruction or a joule is for
    "array": "#2f6690",
    "stall": "#c3cdd6",
    "encode": "#e08e45",
    "vector": "#6a994e",
    "drain": "#b5485d",
    "idle": "#8d99a6",
    "accumulators": "#81b1cc",
    "buffers": "#a5a58d",
    # what lies in memory, and is moved
    "weights": "#5c6bc0",
    "cache": "#3aa6a0",
    "vectors": "#dfb43c",
    "constants": "#a68a64",
    "channel_words": "#aab2e0",
    "program": "#3d405b",
    "records": "#7f8fa9",
    "tokens": "#d98880",
    "padding": "#e3ded6",
    # weights, by the part of the model
    "attention": "#b07aa1",
    "feed-forward": "#7d4f74",
    "head": "#3c2a4d",
    # sides of a comparison
    "dense": "#dfe3e8",
    "silent": "#9fb3c8",
}
"""What a colour means, in every figure of a report."""
FAMILIES = {
    "attention": ("q", "k", "v", "o"),
    "cache": ("keys", "values"),
    "feed-forward": ("gate", "up", "down"),
    "head": ("lm_head",),
}
"""Parts of a model, by whose colour kinds of products go."""
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spikeloom",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 9.5,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
}
"""Matplotlib's."""


def family_of(kind: str) -> str:
    """Return which of `FAMILIES` a kind of product is of."""
    return next(family for family, kinds in FAMILIES.items() if kind in kinds)


def number(value: float) -> str:
    """Return a number with three digits, or to the unit where it has more."""
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share for people."""
    return f"{100 * share:.{digits}f} %"


def energy_unit(least: float) -> tuple[float, str]:
    """Return a unit that suits an energy, in joules, and its name."""
    for size, name in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if least >= size:
            return size, name
    return 1e-9, "nJ"


def joules(energy: float) -> str:
    """Return energy for people."""
    size, name = energy_unit(energy)
    return f"{number(energy / size)} {name}"
