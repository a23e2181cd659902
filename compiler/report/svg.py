"""A figure as SVG text, the same for the same plan, and axes that can be read."""

import io
from collections.abc import Callable

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from compiler.report.style import SETTINGS

__all__ = ["byte_unit", "label_logarithmic", "svg"]


def svg(
    draw: Callable[[Figure], None], width: float, height: float, background: str = "none"
) -> str:
    """Return what is drawn on a figure of so many inches."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        quiet = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=quiet, facecolor=background)
    return text.getvalue()


def byte_unit(largest: float) -> tuple[float, str]:
    """Return the unit that suits so many bytes, and its name."""
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= size:
            return size, name
    return 1.0, "bytes"


def label_logarithmic(axis: Axis) -> None:
    """Label a logarithmic axis, whose limits are final, at round numbers: at least three."""
    low, high = axis.get_view_interval()
    ratio = high / low
    if ratio < 4:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    else:
        steps = (1, 2, 3, 5) if ratio < 30 else (1, 2, 5) if ratio < 1000 else (1,)
        axis.set_major_locator(LogLocator(subs=steps, numticks=100))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
