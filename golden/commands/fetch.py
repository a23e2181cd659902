"""`python -m golden fetch`."""

import argparse

from rich.progress import DownloadColumn

from golden.checkpoint import fetch
from golden.commands.options import progress_bar

__all__ = ["add"]


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("fetch", help="get a known model into the cache, and check it")
    parser.add_argument("model", metavar="MODEL", help=", ".join(fetch.KNOWN))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    with progress_bar(DownloadColumn()) as progress:
        task = progress.add_task("fetching", total=None)
        path = fetch.fetch(
            options.model, lambda done, total: progress.update(task, completed=done, total=total)
        )
    print(path)
