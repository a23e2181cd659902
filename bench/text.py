"""A text that is always there and never changes: pages of this project as they once were."""

from pathlib import Path

__all__ = ["TEXT"]

TEXT = Path(__file__).with_name("text.txt")
"""Of English prose and tables, 61 kB: no page of docs/ is an input of a bench."""
