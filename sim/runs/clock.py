"""Wall clock of the parts of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """Wall clock of the parts of a run.

    Attributes
    ----------
    seconds : dict of str to float
        By part.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the part called `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def report(self) -> dict[str, object]:
        """Return what a report says of it."""
        return {
            "wall_seconds": round(sum(self.seconds.values()), 3),
            "seconds": {part: round(value, 3) for part, value in self.seconds.items()},
        }
