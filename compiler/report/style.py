"""How figures and numbers look, wherever they are shown."""

__all__ = ["INK", "PALETTE", "QUIET", "SETTINGS", "number"]

INK, QUIET = "#1f2933", "#9aa5b1"
PALETTE = ("#2f6690", "#81b1cc", "#e08e45", "#7a9e7e", "#b56576", "#c9c5ba", "#6d597a", "#3a7d7c")
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spikeloom",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
}
"""Matplotlib's."""


def number(value: float) -> str:
    """Return a number with three digits, or to the unit where it has more."""
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
