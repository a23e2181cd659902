"""`python -m golden profile`."""

import argparse
import json
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import MofNCompleteColumn
from rich.table import Table

from golden.checkpoint.intact import sha256_of
from golden.commands.options import (
    add_recipe,
    add_windows,
    progress_bar,
    read_windows,
    require_place,
)
from golden.measure.profile import Profile
from golden.measure.profile_file import save_profile
from golden.measure.profiling import KEPT_TOKENS, record

__all__ = ["add"]

_ABOUT = """\
The text is cut into windows as for perplexity, and the integer model runs over them. What is
recorded of each site of each layer: how often each count occurred, spikes by coding, steps of the
array for a channel that fires, how often each channel fires, and for some of the tokens which did.
python -m compiler build --layers all --profile FILE makes its schedule from it.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "profile",
        help="record how each site of each layer spikes on a text, for the compiler",
        description=_ABOUT,
    )
    add_windows(parser)
    add_recipe(parser)
    parser.add_argument(
        "--keep",
        type=int,
        default=KEPT_TOKENS,
        metavar="N",
        help="tokens whose firing channels are kept, evenly spread (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, help="the profile, a .npz file")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if options.keep < 1:
        raise ValueError(f"--keep must be at least 1, not {options.keep}")
    if options.output.suffix != ".npz":
        raise ValueError(f"--output must end in .npz, not {options.output.name!r}")
    require_place(options.output, "--output")
    recipe, checkpoint, context, batches = read_windows(options)
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("windows", total=len(batches))
        found = record(
            checkpoint,
            recipe,
            batches,
            text=(options.text.name, sha256_of(options.text)),
            context=context,
            keep=options.keep,
            progress=lambda: progress.advance(task),
        )
    save_profile(found, options.output)
    if options.json:
        print(json.dumps(found.as_dict()))
    else:
        _print_profile(found, options.output)


def _print_profile(found: Profile, path: Path) -> None:
    of = found.identity
    console = Console()
    console.print(
        f"{path}: {of.model}, recipe {of.recipe}, {of.tokens:,} tokens of {of.text} in "
        f"{of.windows:,} windows of at most {of.context:,}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    steps = {}
    for name, site in found.sites.items():
        steps.setdefault(name.rpartition(".")[2], []).append(site.steps("csd"))
    means = (f"{kind} {sum(of) / len(of):.2f}" for kind, of in steps.items())
    console.print(
        f"csd steps of a channel that fires: {', '.join(means)}", soft_wrap=True, highlight=False
    )
    title = "Silent values"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("layer", no_wrap=True)
    for kind in steps:
        table.add_column(kind, justify="right", no_wrap=True)
    rows: dict[str, dict[str, str]] = {}
    for name, site in found.sites.items():
        place, _, kind = name.rpartition(".")
        rows.setdefault(place.rpartition(".")[2], {})[kind] = f"{site.silent:.1%}"
    for layer, cells in rows.items():
        table.add_row(layer, *(cells.get(kind, "") for kind in steps))
    console.print(table)
