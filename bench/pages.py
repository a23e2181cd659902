"""A text that is always there: this project's own pages."""

from golden.console.places import SOURCES

__all__ = ["NAME", "pages"]

NAME = "this project's pages"
_PAGES = ("README.md", "docs/architecture.md", "docs/numerics.md", "docs/proofs.md")


def pages() -> str:
    """Return the pages, one after the other."""
    return "\n".join((SOURCES / page).read_text(encoding="utf-8") for page in _PAGES)
