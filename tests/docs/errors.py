"""The table of errors on docs/bringup.md: each code, its name, what to do."""

import re

from hw.contract.regs import Error
from spikeloom.board.errors import advice
from tests.docs.pages import ROOT

__all__ = ["PAGE", "with_errors"]

PAGE = ROOT / "docs" / "bringup.md"

_MARKS = re.compile(r"(<!-- errors: generated -->\n).*?(<!-- end of errors -->)", re.DOTALL)


def with_errors(text: str) -> str:
    """Return the page's text with the table as it must be."""
    lines = ["", "| ERROR | name | what to do |", "|---|---|---|"]
    lines += [f"| {e.value} | {e.name} | {advice(e)} |" for e in Error if e is not Error.NONE]
    table = "\n".join([*lines, "", ""])
    return _MARKS.sub(lambda match: f"{match[1]}{table}{match[2]}", text)
