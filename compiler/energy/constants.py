"""Energy of one operation: published constants, each with its source."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Constant", "constants"]

_FILE = Path(__file__).with_name("constants.toml")


@dataclass(frozen=True, kw_only=True)
class Constant:
    """What one operation takes.

    Attributes
    ----------
    name : str
        Of the table in ``constants.toml``.
    typical, low, high : float
        Picojoules; what results are stated with, and the range that is tried.
    unit : str
        Of what: an operation or a bit.
    source : str
        Where it is published.
    estimate : bool
        Whether `typical` is derived from what is published, or is of something similar.
    """

    name: str
    typical: float
    low: float
    high: float
    unit: str
    source: str
    estimate: bool = False


@cache
def constants() -> dict[str, Constant]:
    """Return all constants by name."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    found = {}
    for name, table in tables.items():
        typical = table["typical"]
        found[name] = Constant(name=name, **({"low": typical, "high": typical} | table))
    return found
