"""`python -m golden profile`."""

import argparse
import json
from pathlib import Path

from golden.checkpoint.intact import sha256_of
from golden.commands.options import require_place
from golden.commands.windows import read_windows
from golden.console.progress import Work
from golden.console.tables import print_lines, print_table
from golden.console.version import about
from golden.measure.profile import Profile
from golden.measure.profile_file import save_profile
from golden.measure.profiling import record

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Record a profile, write it, and print what it says."""
    if options.keep < 1:
        raise ValueError(f"--keep must be at least 1, not {options.keep}")
    if options.output.suffix != ".npz":
        raise ValueError(f"--output must end in .npz, not {options.output.name!r}")
    require_place(options.output, "--output")
    with Work("reading") as work:
        recipe, checkpoint, context, batches = read_windows(options)
        work.begin("windows", len(batches))
        found = record(
            checkpoint,
            recipe,
            batches,
            text=(options.text.name, sha256_of(options.text)),
            context=context,
            keep=options.keep,
            progress=work.advance,
        )
    save_profile(found, options.output)
    if options.json:
        print(json.dumps({**about(), **found.as_dict()}))
    else:
        _print_profile(found, options.output)


def _print_profile(found: Profile, path: Path) -> None:
    of = found.identity
    print_lines(
        f"{path}: {of.model}, recipe {of.recipe}, {of.tokens:,} tokens of {of.text} in "
        f"{of.windows:,} windows of at most {of.context:,}"
    )
    steps = {}
    for name, site in found.sites.items():
        steps.setdefault(name.rpartition(".")[2], []).append(site.steps("csd"))
    means = (f"{kind} {sum(of) / len(of):.2f}" for kind, of in steps.items())
    print_lines(f"csd steps of a channel that fires: {', '.join(means)}")
    rows: dict[str, dict[str, str]] = {}
    for name, site in found.sites.items():
        place, _, kind = name.rpartition(".")
        rows.setdefault(place.rpartition(".")[2], {})[kind] = f"{site.silent:.1%}"
    print_table(
        ("layer", *steps),
        ([layer, *(cells.get(kind, "") for kind in steps)] for layer, cells in rows.items()),
        title="Silent values",
    )
