"""The generated parts of pages of docs/: tables and figures, from the reports."""

import re
from pathlib import Path

from bench.figures import FIGURES
from bench.reports import read
from bench.tables import TABLES
from compiler.pages.markdown import wrapped
from golden.console.places import SOURCES

__all__ = ["page_of", "section", "write_docs"]

_PAGES = {
    "front": "quality.md",
    "timing": "timing.md",
    "dram": "system.md",
}  # where a bench is not on performance.md


def page_of(name: str) -> Path:
    """Return the page that a bench's section is on; figures lie beside it."""
    return SOURCES / "docs" / _PAGES.get(name, "performance.md")


def section(name: str) -> re.Pattern[str]:
    """Return what finds a bench's section; group 1 and 2 are its marks."""
    return re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- end of {name} -->)", re.DOTALL)


def write_docs(name: str, reports: Path, page: Path | None = None) -> list[Path]:
    """Write a bench's section and figures anew from its report.

    Parameters
    ----------
    name : str
        Of the bench.
    reports : Path
        Directory of the reports.
    page : Path, optional
        The page, by default `page_of` the bench; ``figures/`` is beside it.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        Where there is no report, or the page has no such section.
    """
    report = read(name, reports)
    page = page or page_of(name)
    text = page.read_text()
    if not section(name).search(text):
        raise ValueError(f"{page} has no section {name}: its marks are missing")
    table = wrapped(TABLES[name](report))
    page.write_text(section(name).sub(lambda m: f"{m[1]}{table}\n{m[2]}", text))
    written = [page]
    for file, draw in FIGURES.get(name, {}).items():
        path = page.with_name("figures") / file
        draw(report, path)
        written.append(path)
    return written
