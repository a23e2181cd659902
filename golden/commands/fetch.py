"""`python -m golden fetch`."""

import argparse

from golden.checkpoint import fetch
from golden.console.progress import Work

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Fetch a model, and print where it is."""
    with Work(f"fetching {options.model}", unit="bytes") as work:
        path = fetch.fetch(options.model, work.reach)
    print(path)
