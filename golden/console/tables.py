"""What all commands print: tables and sentences within the terminal, or 80 columns of a pipe.

Figures stand to the right, with separators. Lines go on below between two words; no word, no figure
and no file's name is ever cut, and no line ends in blanks.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["figure", "print_lines", "print_table"]

_GAP = 2  # between two columns: a padding and an unseen line


def figure(value: float) -> str:
    """Return a number with three digits; from a hundred on it is whole, with separators."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    left: Iterable[int] = (0,),
) -> None:
    """Print a table, but for its title nothing where it has no rows; headings wrap between words.

    What is wider than the terminal (80 columns in a pipe) becomes several tables, each of which
    begins with the first column.

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
    longest = [max((len(row[i]) for row in cells), default=0) for i in range(len(headings))]
    wide = [max(len(heading), cell) for heading, cell in zip(headings, longest, strict=True)]
    least = [
        max(*map(len, heading.split()), cell)
        for heading, cell in zip(headings, longest, strict=True)
    ]
    console, words = Console(highlight=False, markup=False), {*left}
    widths = wide if _taken(wide) <= console.width else least
    if title is not None:
        print_lines(title)
    for number, part in enumerate(_parts(widths, console.width) if cells else ()):
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
        for index in part:
            justify = "left" if index in words else "right"
            table.add_column(headings[index], justify=justify, width=widths[index])
        for row in cells:
            table.add_row(*(row[index] for index in part))
        if number:
            print()
        with console.capture() as drawn:
            console.print(table)
        print(*(line.rstrip() for line in drawn.get().splitlines()), sep="\n")


def print_lines(*lines: str, indent: int = 2) -> None:
    """Print lines; one that is too long goes on below, `indent` columns from the left."""
    width = Console().width
    for line in lines:
        parts = [line]
        if len(line) > width:
            parts = textwrap.wrap(
                line,
                width,
                subsequent_indent=" " * min(indent, width // 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
        print(*parts, sep="\n")


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _parts(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Yield the columns of each table, all with the first and at least one more."""
    part = [0]
    for index in range(1, len(widths)):
        if len(part) > 1 and _taken([widths[i] for i in (*part, index)]) > room:
            yield part
            part = [0]
        part.append(index)
    yield part


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
