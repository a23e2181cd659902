"""Writes docs/energy.md and docs/boards.md: ``python -m compiler.pages``."""

from collections.abc import Callable
from pathlib import Path

from compiler.pages.boards import boards_page
from compiler.pages.energy import energy_page
from compiler.pages.markdown import DOCS

__all__ = ["PAGES", "write"]

PAGES: dict[str, Callable[[], str]] = {"energy.md": energy_page, "boards.md": boards_page}
"""File name of each page, and what makes its text."""


def write(directory: Path = DOCS) -> list[Path]:
    """Write every page; return the files."""
    files = []
    for name, text in PAGES.items():
        file = directory / name
        file.write_text(text(), encoding="utf-8")
        files.append(file)
    return files


if __name__ == "__main__":
    for written in write():
        print(written)
