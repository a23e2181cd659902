"""Where things lie: the sources, the caches, what is built, and what commands write."""

import os
from pathlib import Path

__all__ = ["SOURCES", "builds", "cache_directory", "checkout", "outputs", "shared"]

SOURCES = Path(__file__).resolve().parents[2]
"""The directory that holds the packages: a checkout's root, or where pip has installed them."""


def checkout() -> Path | None:
    """Return the root of the checkout that runs; None where the packages are installed."""
    return SOURCES if (SOURCES / "pyproject.toml").is_file() else None


def cache_directory() -> Path:
    """Return the user's cache: `$SPIKELOOM_CACHE`, `$XDG_CACHE_HOME/spikeloom`, or in `~/.cache`.

    Fetched models lie there, and so do builds where there is no checkout.
    """
    if own := os.environ.get("SPIKELOOM_CACHE"):
        return Path(own)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "spikeloom"


def shared(kind: str) -> Path:
    """Return where somebody puts ``models`` or ``text``: beside a checkout, or in the cache."""
    root = checkout()
    return (root.parent / "shared" if root else cache_directory()) / kind


def builds(tool: str) -> Path:
    """Return where what a tool compiles is kept: in a checkout's `build`, or the user's cache."""
    return (checkout() or cache_directory()) / "build" / tool


def outputs(command: str) -> Path:
    """Return where a command writes unless told: in the checkout's `build`, or in that of here."""
    return (checkout() or Path.cwd()) / "build" / command
