"""The report for people: one HTML file that needs nothing else."""

import base64
from collections.abc import Mapping

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from compiler.programs.plan import Plan
from compiler.report import figures
from compiler.report.style import number
from hw.contract.isa import Coding

__all__ = ["page"]


def page(
    plan: Plan, report: Mapping[str, object], raster: Mapping[str, np.ndarray] | None = None
) -> str:
    """Return the page.

    Parameters
    ----------
    plan : Plan
        What it is of.
    report : mapping
        What ``report.json`` holds (`compiler.report.content.content`).
    raster : mapping of str to ndarray, optional
        Measured spike counts of one layer, by site, (tokens, channels).
    """
    environment = Environment(
        loader=PackageLoader("compiler.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"image": _image, "bytes": _bytes, "count": "{:,.0f}".format}
    environment.filters |= {"figure": number, "joules": _joules}
    drawn = {
        name: getattr(figures, name)(plan, report)
        for name in ("roofline", "causes", "bytes_moved", "firing", "memory")
    }
    middle = plan.config.layers // 2
    codings = [coding.name.lower() for coding in Coding]
    token = next(t for t in report["tokens"] if t["position"] == report["position"])
    joule, unit = _unit(report["energy"]) if "energy" in report else (1.0, "J")
    return environment.get_template("page.html").render(
        report=report,
        token=token,
        figures=drawn,
        layer=middle,
        coding=" and ".join(
            dict.fromkeys([plan.coding] if isinstance(plan.coding, str) else plan.coding.values())
        ),
        timeline=figures.timeline(plan, middle),
        attention=figures.timeline(plan, middle, attention=True),
        rasters={c: figures.raster(raster, c) for c in codings} if raster else {},
        word_bytes=plan.params.axi_bytes * plan.words_a_cycle,
        joule=joule,
        unit=unit,
        outside_layers=_outside_layers(report),
    )


def _outside_layers(report: Mapping[str, object]) -> int:
    """Return the cycles of the token that no layer takes."""
    return sum(sum(of["cycles"].values()) for of in report["layers"] if of["layer"] is None)


def _image(svg: str) -> str:
    """Return a figure as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _bytes(count: float) -> str:
    """Return bytes for people."""
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:,.2f} {name}"
    return f"{count:,.0f} bytes"


def _unit(energy: Mapping[str, object]) -> tuple[float, str]:
    """Return a unit of energy that suits the design that takes least, in joules, and its name."""
    return _unit_of(min(design["total"] for design in energy["designs"]))


def _unit_of(joules: float) -> tuple[float, str]:
    for size, name in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if joules >= size:
            return size, name
    return 1e-9, "nJ"


def _joules(energy: float) -> str:
    """Return energy for people."""
    size, name = _unit_of(energy)
    return f"{number(energy / size)} {name}"
