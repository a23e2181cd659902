"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

__all__ = ["markdown"]


def markdown(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
