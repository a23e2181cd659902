"""The commands of docs/tutorial.md and what they print: read, run, compared, written anew.

A block marked ``console`` holds commands after ``$ ``, each with the lines that it prints. A line
that is only ``…`` stands for any lines. What differs between machines and moments (seconds,
versions, directories) is masked on both sides before they are compared.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import CONSOLE, ROOT

__all__ = ["PAGE", "Step", "difference", "run", "rewritten", "steps"]

PAGE = ROOT / "docs" / "tutorial.md"

_ELISION = "…"
_MASKS = [
    (re.compile(r"\b[\d,]+(\.\d+)? ?s\b"), "TIME s"),
    (re.compile(r"\b[\d.,]+ tokens a second"), "SPEED tokens a second"),
    (re.compile(r"\bspikeloom \S+ \(\S+\)"), "spikeloom VERSION"),
    (re.compile(r"(/[\w.-]+)+/(?=build/)"), ""),
    (re.compile(r"─+"), "─"),
    (re.compile(r"[ \t]+"), " "),
]


def _goes_on(command: str) -> bool:
    """Return whether a shell would ask for another line: after a backslash, or in a quote."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\")


class Step(NamedTuple):
    """A command, and the text that it prints."""

    command: str
    output: str


def _steps(block: str) -> Iterator[Step]:
    command, printed, goes_on = "", [], False
    for line in [*block.splitlines(), "$ "]:
        if goes_on:
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield Step(command, "\n".join(printed))
            command, printed = line.removeprefix("$ "), []
        else:
            printed.append(line)
        goes_on = bool(command) and not printed and _goes_on(command)
    assert not printed, f"output without a command: {printed}"


def steps(text: str) -> list[Step]:
    """Return all commands of a page, in order."""
    return [step for block in CONSOLE.findall(text) for step in _steps(block)]


def run(command: str, directory: Path) -> str:
    """Run a command as the tutorial's reader does; return what it prints to standard output.

    Raises
    ------
    AssertionError
        Where its status is not 0; the text is all that it printed.
    """
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "python", f"a tutorial runs python, not {words[0]}"
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _masked(text: str) -> list[str]:
    for pattern, stands_for in _MASKS:
        text = pattern.sub(stands_for, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def difference(expected: str, got: str) -> str | None:
    """Return the first line in which an output is not as expected; None where it is.

    Blank lines, and how many blanks part two words, do not count.
    """
    want, have = _masked(expected), _masked(got)
    at = 0
    for number, line in enumerate(want):
        if line == _ELISION:
            following = want[number + 1 :][:1]
            while at < len(have) and have[at : at + 1] != following:
                at += 1
        elif at < len(have) and have[at] == line:
            at += 1
        else:
            return f"expected {line!r}, got {have[at] if at < len(have) else 'the end'!r}"
    return f"expected the end, got {have[at]!r}" if at < len(have) else None


def rewritten(text: str, outputs: dict[str, str]) -> str:
    """Return a page with the outputs of some commands; one that is cut short (…) keeps its cut.

    An output with a cut is written by hand: which lines matter only a person knows.
    """

    def block(match: re.Match) -> str:
        lines = ["```console"]
        for step in _steps(match[1]):
            printed = step.output
            if _ELISION not in printed.splitlines() and step.command in outputs:
                printed = "\n".join(line.rstrip() for line in outputs[step.command].splitlines())
            lines += [f"$ {step.command}", *([printed.strip("\n")] if printed.strip() else [])]
        return "\n".join([*lines, "```"])

    return CONSOLE.sub(block, text)
