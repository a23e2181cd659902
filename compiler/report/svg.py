"""A figure as SVG text: the same text for the same plan."""

import io
from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure

from compiler.report.style import SETTINGS

__all__ = ["byte_unit", "svg"]


def svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    """Return what is drawn on a figure of so many inches."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        quiet = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=quiet, transparent=True)
    return text.getvalue()


def byte_unit(largest: float) -> tuple[float, str]:
    """Return the unit that suits so many bytes, and its name."""
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= size:
            return size, name
    return 1.0, "bytes"
