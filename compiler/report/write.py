"""Write a plan's reports into its directory."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from compiler.boards.pick import Picked
from compiler.programs.plan import Plan
from compiler.report.content import content
from compiler.report.page import page
from compiler.report.trace import trace
from compiler.storage.directory import REPORTS, write_file

__all__ = ["write_reports"]


def write_reports(
    plan: Plan,
    directory: Path,
    *,
    about: Mapping[str, object],
    raster: Mapping[str, np.ndarray] | None = None,
    picked: Picked | None = None,
    clock_mhz: float | None = None,
) -> dict[str, object]:
    """Write ``report.json``, ``report.html`` and ``trace.json``; return what the first one holds.

    Parameters
    ----------
    plan : Plan
        What they are of.
    directory : Path
        A compiled directory, before it gets its place: they come with it or not at all.
    about : mapping
        What else the report says of the build, such as where its shapes are from.
    raster : mapping of str to ndarray, optional
        Measured spike counts of one layer, by site, (tokens, channels).
    picked, clock_mhz
        As of `compiler.report.content.content`.
    """
    report = content(plan, about, picked, clock_mhz)
    texts = (
        json.dumps(report, indent=1) + "\n",
        page(plan, report, raster),
        json.dumps(trace(plan)) + "\n",
    )
    for name, text in zip(REPORTS, texts, strict=True):
        write_file(directory / name, text.encode())
    return report
