"""The report for people: one HTML file that needs nothing else."""

import base64
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from compiler.predict.activity import CODINGS
from compiler.programs.plan import Plan
from compiler.report import figures
from compiler.report.firing import firing, raster
from compiler.report.style import energy_unit, joules, number, percent
from compiler.report.svg import byte_unit
from compiler.report.timeline import timeline

__all__ = ["page", "today"]


def today() -> date:
    """Return the date, or that of SOURCE_DATE_EPOCH, for builds that must not depend on it."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return now.date()


def page(
    plan: Plan,
    report: Mapping,
    counts: Mapping[str, np.ndarray] | None = None,
    made_on: date | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    plan : Plan
        What it is of.
    report : mapping
        What ``report.json`` holds (`compiler.report.content.content`).
    counts : mapping of str to ndarray, optional
        Measured spike counts of one layer, by site, (tokens, channels).
    made_on : date, optional
        By default `today`.
    """
    environment = Environment(
        loader=PackageLoader("compiler.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"image": _image, "bytes": _bytes, "count": "{:,.0f}".format}
    environment.filters |= {
        "figure": number,
        "joules": joules,
        "duration": _duration,
        "percent": percent,
    }
    drawn = {
        name: getattr(figures, name)(plan, report)
        for name in ("roofline", "causes", "bytes_moved", "memory")
    }
    joule, unit = 1.0, "J"
    if "energy" in report:
        drawn["energy"] = figures.energy(report)
        joule, unit = energy_unit(min(of["total"] for of in report["energy"]["designs"]))
    middle = plan.config.layers // 2
    codings = [plan.coding] if isinstance(plan.coding, str) else plan.coding.values()
    return environment.get_template("page.html").render(
        report=report,
        token=next(t for t in report["tokens"] if t["position"] == report["position"]),
        figures=drawn | {"firing": firing(plan, report)},
        layer=middle,
        coding=" and ".join(dict.fromkeys(codings)),
        timeline=timeline(plan, middle),
        attention=timeline(plan, middle, attention=True),
        rasters={coding: raster(counts, coding) for coding in CODINGS} if counts else {},
        word_bytes=plan.params.axi_bytes * plan.words_a_cycle,
        joule=joule,
        unit=unit,
        outside_layers=_outside_layers(report),
        made_on=(made_on or today()).isoformat(),
    )


def _outside_layers(report: Mapping) -> int:
    """Return the cycles of the token that no layer takes."""
    return sum(sum(of["cycles"].values()) for of in report["layers"] if of["layer"] is None)


def _image(svg: str) -> str:
    """Return a figure as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _bytes(count: float) -> str:
    """Return bytes for people."""
    size, name = byte_unit(count)
    return f"{count / size:,.2f} {name}" if size > 1 else f"{count:,.0f} bytes"


def _duration(seconds: float) -> str:
    """Return a time for people."""
    for size, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{number(seconds / size)} {name}"
    return f"{number(seconds / 1e-6)} µs"
