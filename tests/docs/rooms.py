"""The tables of rooms on docs/layout.md: each package's folders and their one sentence."""

import ast
import re
from pathlib import Path

from tests.docs.pages import ROOT
from tests.test_imports import ALLOWED, ROOMS

__all__ = ["PAGE", "with_rooms"]

PAGE = ROOT / "docs" / "layout.md"

_MARKS = re.compile(r"(<!-- rooms of (\w+): generated -->\n).*?(<!-- end of rooms -->)", re.DOTALL)


def _sentence(file: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def _rooms(package: str) -> list[Path]:
    """Return the files that say what a package's rooms are for, in the order data flow.

    A package without an order is shown as its modules.
    """
    folder = ROOT / package
    modules = [path.stem for path in folder.glob("[!_]*.py")]
    modules += [path.parent.name for path in folder.glob("*/__init__.py")]
    found = []
    for name in ROOMS.get(package) or sorted(modules):
        room = ROOT / package / name
        found.append(room / "__init__.py" if room.is_dir() else room.with_suffix(".py"))
    return found


def _table(package: str) -> str:
    lines = ["", "| room | what for |", "|---|---|"]
    for file in _rooms(package):
        place = file.relative_to(ROOT)
        name = f"{place.parent}/" if file.name == "__init__.py" else str(place)
        lines.append(f"| `{name}` | {_sentence(file)} |")
    return "\n".join([*lines, "", ""])


def with_rooms(text: str) -> str:
    """Return the page's text with the tables as they must be.

    Raises
    ------
    ValueError
        Where a package has no table.
    """
    if missing := {*ALLOWED} - {match[2] for match in _MARKS.finditer(text)}:
        raise ValueError(f"{PAGE.name} has no rooms of {', '.join(sorted(missing))}")
    return _MARKS.sub(lambda match: f"{match[1]}{_table(match[2])}{match[3]}", text)
