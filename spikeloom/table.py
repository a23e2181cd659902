"""Tables: a list of rows that a notebook shows, and that pandas takes as it is."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Table"]


class Table(list[dict[str, Any]]):
    """Rows with the same keys; ``pandas.DataFrame(table)`` makes a data frame of it.

    Parameters
    ----------
    rows : iterable of mapping
        A value by column, in the columns' order.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(dict(row) for row in rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self[0]) if self else []

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, (rows,); raises ValueError where there is none of that name."""
        if name not in self.columns:
            raise ValueError(f"column must be one of {', '.join(self.columns)}, not {name!r}")
        return np.array([row[name] for row in self])

    def __repr__(self) -> str:
        """Return the table as aligned text."""
        cells = [self.columns, *([_text(row[name]) for name in self.columns] for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table as Jupyter shows it."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        rows = (
            "".join(f"<td>{escape(_text(row[name]))}</td>" for name in self.columns) for row in self
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)
