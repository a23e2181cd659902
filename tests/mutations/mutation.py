"""What a mutation is: a fault put in on purpose, and the test that must see it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Mutation", "faults_in"]

ROOT = Path(__file__).resolve().parent.parent.parent
"""The project's root."""


@dataclass(frozen=True)
class Mutation:
    """A fault put in on purpose.

    Attributes
    ----------
    name : str
        What it breaks.
    file : str
        Where, relative to the project's root.
    old, new : str
        Text that occurs once in the file, and what takes its place.
    test : str
        The test, as pytest names it, that must fail then.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    def apply(self, root: Path) -> None:
        """Put it into the project at `root`.

        Raises
        ------
        ValueError
            Where the text to replace does not occur exactly once.
        """
        path = root / self.file
        text = path.read_text()
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} must hold {self.old!r} once, not {found} times")
        path.write_text(text.replace(self.old, self.new))


def faults_in(file: str, test: str, *faults: tuple[str, str, str]) -> list[Mutation]:
    """Return the mutations of one file that one test must see: name, old and new text."""
    return [Mutation(name, f"hw/{file}", old, new, f"tests/{test}") for name, old, new in faults]
