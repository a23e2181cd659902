"""The one table of all commands: figures to the right, with separators, within 80 columns."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["print_lines", "print_table", "table"]


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    left: Iterable[int] = (0,),
) -> Table:
    """Return a table; headings wrap between words, and no figure is ever cut.

    Parameters
    ----------
    headings : sequence of str
        One a column.
    rows : iterable of sequences
        The cells; whole numbers get separators, None is shown as nothing known.
    title : str, optional
        Above it.
    left : iterable of int
        The columns whose cells are words.
    """
    cells = [[_shown(value) for value in row] for row in rows]
    made = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    words = set(left)
    for index, heading in enumerate(headings):
        longest = [*heading.split(), *(row[index] for row in cells)]
        made.add_column(
            heading,
            justify="left" if index in words else "right",
            min_width=max(map(len, longest), default=0),
        )
    for row in cells:
        made.add_row(*row)
    return made


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    left: Iterable[int] = (0,),
) -> None:
    """Print `table` of the same."""
    Console(highlight=False, markup=False).print(table(headings, rows, title=title, left=left))


def print_lines(*lines: str) -> None:
    """Print lines as they are; none is broken, so that a search finds what it looks for."""
    Console(highlight=False, markup=False).print(*lines, sep="\n", soft_wrap=True)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
