"""Tells of a command's work on stderr: a bar on a terminal, elsewhere a line every ten seconds."""

import os
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

__all__ = ["Work"]

VARIABLE = "SPIKELOOM_PROGRESS"
"""Of the environment: seconds between two lines where stderr is no terminal; 0 for no line."""

_SECONDS = "10"


_SHOWN = 600  # characters of a text above the bar: more would push it off the terminal


class _Bar(Progress):
    """A bar below the end of a text that grows."""

    text = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield text and bar."""
        if self.text:
            yield Text(self.text[-_SHOWN:])
        yield from super().get_renderables()


class Work:
    """What is being done, how much of it is done, and how long the rest takes.

    Used as a context. Nothing is shown on stdout, and of a terminal's bar nothing remains.

    Parameters
    ----------
    doing : str
        What is being done first.
    total : int, optional
        How much that is; None where nobody knows.
    unit : {"", "bytes"}
        What is counted.
    """

    def __init__(self, doing: str = "starting", total: int | None = None, *, unit: str = ""):
        console = Console(stderr=True)
        self._unit = unit
        self._bar = _Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=total, amount="", left="")
        self._lines = not console.is_terminal
        self._seconds = _seconds()
        self._ended = threading.Event()
        self._ended_line = True  # of stdout
        self._teller = threading.Thread(target=self._tell, daemon=True)
        self.begin(doing, total)

    def begin(self, doing: str, total: int | None = None) -> None:
        """Go on to another work, of which nothing is done yet."""
        self.doing, self.done, self.total = doing, 0, total
        self._since = time.monotonic()
        self._show()

    def say(self, doing: str) -> None:
        """Say what is being done of the same work."""
        self.doing = doing
        self._show()

    def reach(self, done: int, total: int | None = None) -> None:
        """Say how much is done of it, and how much it is where that was not known."""
        self.done, self.total = done, self.total if total is None else total
        self._show()

    def advance(self, doing: str | None = None) -> None:
        """Say that one more is done."""
        self.done += 1
        self.doing = self.doing if doing is None else doing
        self._show()

    def write(self, text: str) -> None:
        """Print on stdout what a device says; on a terminal it grows above the bar first."""
        self._ended_line = text.endswith("\n") if text else self._ended_line
        if not self._lines and sys.stdout.isatty():
            self._bar.text += text
            self._bar.refresh()
        else:
            print(text, end="", flush=True)

    def stop(self) -> None:
        """Show no more: what the command prints follows."""
        self._ended.set()
        self._bar.stop()
        if self._bar.text:
            print(self._bar.text, end="", flush=True)
            self._bar.text = ""

    def line(self) -> str:
        """Return what is shown, as a line."""
        return ", ".join(filter(None, (self.doing, self._amount(), self._left())))

    def _amount(self) -> str:
        if self.total is None:
            return ""
        if self._unit == "bytes":
            return f"{self.done / 1e6:,.1f} of {self.total / 1e6:,.1f} MB"
        return f"{self.done:,} of {self.total:,}"

    def _left(self) -> str:
        if self.total is None or not 0 < self.done <= self.total:
            return ""
        passed = time.monotonic() - self._since
        return f"{_duration(passed * (self.total - self.done) / self.done)} left"

    def _show(self) -> None:
        if not self._lines:
            self._bar.update(
                self._task,
                description=self.doing,
                completed=self.done,
                total=self.total,
                amount=self._amount(),
                left=self._left(),
            )

    def _tell(self) -> None:
        begin = time.monotonic()
        while not self._ended.wait(self._seconds):
            passed = _duration(time.monotonic() - begin)
            print(f"{passed}: {self.line()}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bar.start()
        if self._lines and self._seconds:
            self._teller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show no more; what went wrong is told on a line of its own."""
        self.stop()
        if error is not None and not self._ended_line:
            print(flush=True)


def _seconds() -> float:
    """Return what the environment says; raises ValueError where that is no time."""
    text = os.environ.get(VARIABLE) or _SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        raise ValueError(f"{VARIABLE} must be seconds, 0 for no line of progress, not {text!r}")
    return seconds


def _duration(seconds: float) -> str:
    """Return seconds as people read them: 42 s, 3 min 05 s, 2 h 07 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
