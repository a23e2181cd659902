"""Command line of the golden model: `python -m golden`."""

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from golden import calibrate, fetch
from golden.calibrate import split
from golden.checkpoints import Checkpoint, load
from golden.encoding import CODINGS
from golden.firing import FiringStatistics
from golden.fold import fold
from golden.intact import sha256_of
from golden.integer import IntegerModel
from golden.perplexity import (
    ARITHMETICS,
    DOCUMENT_END,
    Measurement,
    measure,
    read_text,
    windows,
)
from golden.profile import Profile
from golden.profile_file import save_profile
from golden.profiling import KEPT_TOKENS, record
from golden.recipe import Recipe, known_recipes, load_recipe

_PERPLEXITY = f"""\
The text is cut into windows of --context tokens that do not overlap (a line {DOCUMENT_END} ends a
document, and no window spans two). In each window every token but the first is predicted from those
before it; perplexity is e to the mean cross-entropy of all predictions. The model runs twice on the
same windows: in fp32, and with every matrix driven by spikes as the recipe says. What is between
the matrices is then in float, or with --arithmetic integer what a device computes.
"""
_MODEL = (
    f"{', '.join(fetch.KNOWN)}, or the path of a Hugging Face directory, a .gguf or a "
    "llama2.c .bin file"
)


_CALIBRATE = """\
The end of the text is used, so that its beginning remains for measurements. The checkpoint is
folded on a part of it, which the recipe then holds; the dead zone of each site of each layer is
chosen by what it costs in loss and saves in bytes, and the integer model is run to keep to the
budget. See docs/quality.md.
"""


_PROFILE = """\
The text is cut into windows as for perplexity, and the integer model runs over them. What is
recorded of each site of each layer: how often each count occurred, spikes by coding, steps of the
array for a channel that fires, how often each channel fires, and for some of the tokens which did.
python -m compiler build --layers all --profile FILE makes its schedule from it.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    parser = _Parser(prog="python -m golden", description="The golden model of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_perplexity(commands)
    _add_calibrate(commands)
    _add_profile(commands)
    _add_generate(commands)
    _add_fetch(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except ValueError as error:  # checkpoints', recipes' and texts': each is one sentence
        print(f"python -m golden: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"python -m golden: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _add_perplexity(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "perplexity",
        help="perplexity in fp32 and by spikes, and how each site fires",
        description=_PERPLEXITY,
    )
    _add_windows(parser)
    _add_recipe(parser)
    parser.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default="float",
        help="what the spiking model computes in between its matrices (default: %(default)s)",
    )
    parser.add_argument(
        "--per-layer", action="store_true", help="in the table, a row for each site of each layer"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    parser.set_defaults(run=_perplexity)


def _add_windows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help=_MODEL)
    parser.add_argument("--text", required=True, type=Path, help="a UTF-8 text file")
    parser.add_argument(
        "--tokens",
        type=int,
        default=4096,
        help="tokens of the text to use, from its start; 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--context",
        type=int,
        help="tokens of a window (default: 1024, or what the model holds if that is less)",
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        default="w8",
        help=f"{', '.join(known_recipes())}, or a TOML file (default: %(default)s)",
    )


def _perplexity(options: argparse.Namespace) -> None:
    recipe, checkpoint, context, batches = _windows(options)
    with _progress(MofNCompleteColumn()) as progress:
        task = progress.add_task("windows", total=len(batches))
        found = measure(
            checkpoint, recipe, batches, lambda: progress.advance(task), options.arithmetic
        )
    about = {
        "model": options.model,
        "text": str(options.text),
        "recipe": options.recipe,
        "context": context,
        "windows": len(batches),
        "tokens": sum(len(ids) for ids in batches),
    }
    if options.json:
        print(json.dumps(about | found.as_dict()))
    else:
        _print_table(about, found, options.per_layer)


def _windows(options: argparse.Namespace) -> tuple[Recipe, Checkpoint, int, list[list[int]]]:
    """Return what is run on what: recipe, checkpoint, longest window, and the windows."""
    if options.tokens < 0 or options.tokens == 1:
        raise ValueError(f"--tokens must be 0 or at least 2, not {options.tokens}")
    recipe = load_recipe(options.recipe)
    documents = read_text(options.text)
    checkpoint = load(options.model)
    limit = checkpoint.config.max_positions
    context = min(1024, limit) if options.context is None else options.context
    if not 2 <= context <= limit:
        raise ValueError(f"--context must be from 2 to {limit} for this model, not {context}")
    encode = checkpoint.tokenizer.encode
    batches = list(windows(documents, encode, context, options.tokens or None))
    if not batches:
        raise ValueError(f"text {options.text} must have at least 2 tokens to predict one")
    return recipe, checkpoint, context, batches


def _add_calibrate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="find the recipe that leaves the most weight bytes unfetched within a budget",
        description=_CALIBRATE,
    )
    parser.add_argument("--model", required=True, help="as for perplexity")
    parser.add_argument("--text", required=True, type=Path, help="a UTF-8 text file")
    parser.add_argument(
        "--budget",
        type=float,
        default=1.05,
        help="largest perplexity, over that of the model in fp32 (default: %(default)s)",
    )
    parser.add_argument(
        "--skip",
        type=float,
        help="share of all weight bytes that must stay unfetched: then the least perplexity is "
        "looked for, and the budget is a limit",
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=8192,
        help="tokens to calibrate on, from the end of the text (default: %(default)s)",
    )
    parser.add_argument(
        "--fold-text",
        metavar="FILE",
        type=Path,
        help="what the fold is found on, and the recipe will hold (default: the end of the text)",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, help="the recipe, a TOML file")
    parser.add_argument("--report", type=Path, help="a JSON file for all points that were measured")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    if not options.budget > 1:
        raise ValueError(f"--budget must be above 1, not {options.budget}")
    if options.skip is not None and not 0 < options.skip < 1:
        raise ValueError(f"--skip must be between 0 and 1, not {options.skip}")
    documents = read_text(options.text)
    checkpoint = load(options.model)
    context = min(1024, checkpoint.config.max_positions)
    text, slopes, checks = split(documents, checkpoint.tokenizer.encode, context, options.tokens)
    if options.fold_text is not None:
        text = "\n".join(read_text(options.fold_text))
    if not (slopes and checks):
        raise ValueError(
            f"text {options.text} and --tokens must leave two windows to calibrate on: give more"
        )
    with _progress(MofNCompleteColumn()) as progress:
        total = 1 + len(slopes) + len(checks) * (1 + calibrate.LAPS)
        task = progress.add_task("calibrating", total=total)
        step = lambda doing: progress.update(task, description=doing, advance=1)  # noqa: E731
        found = calibrate.Calibration(checkpoint, text, slopes, checks, step)
        points = found.search(options.budget, options.skip)
    for point in sorted(points, key=lambda point: point.skipped):
        print(f"perplexity {point.ratio:.4f} x fp32, {point.skipped:.1%} of bytes skipped")
    if options.report:
        rows = [{"skipped": point.skipped, "ratio": point.ratio} for point in points]
        options.report.write_text(json.dumps({"model": options.model, "points": rows}) + "\n")
    chosen = calibrate.best(points, options.budget, options.skip)
    if chosen is None:
        raise ValueError(
            f"no recipe was found within the budget of {options.budget}"
            + (f" that skips {options.skip:.0%}" if options.skip else "")
            + ": ask for less"
        )
    head = [
        f"Calibrated: python -m golden calibrate --model {Path(options.model).name} "
        f"--text {options.text.name} --budget {options.budget}"
        + (f" --skip {options.skip}" if options.skip else "")
        + f" --tokens {options.tokens}",
        f"Perplexity {chosen.ratio:.4f} x fp32, {chosen.skipped:.1%} of all weight bytes skipped,",
        f"on the {sum(map(len, checks))} tokens that it was chosen on.",
    ]
    options.output.write_text(calibrate.to_toml(chosen.recipe, head), encoding="utf-8")
    print(options.output)


def _print_table(about: dict[str, object], found: Measurement, per_layer: bool) -> None:
    lines = [", ".join(f"{key} {value}" for key, value in about.items())]
    for name, loss in (("fp32", found.fp32), ("spiking", found.spiking)):
        figures = f"perplexity {loss.perplexity:.3f}, {loss.nats_per_token:.4f} nats a token"
        lines.append(f"{name:8}{figures}")
    operations = ", ".join(f"{coding} {found.spikes_per_weight(coding):.2f}" for coding in CODINGS)
    lines.append(f"spikes per weight: {operations}")
    lines.append(f"weight bytes not fetched: {found.skipped:.1%}")
    if found.arithmetic == "integer":
        lines.append(
            f"residual stream: largest magnitude {found.largest_residual:.1f}, "
            f"{found.saturated_residuals} saturated"
        )
    console = Console()
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    title = "Spikes per value, and shares of the values"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("site", no_wrap=True)
    for heading in (*CODINGS, "silent", "clipped", "|n|<8"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = (found.sites if per_layer else {}) | found.by_kind()
    for name, statistics in rows.items():
        table.add_row(name, *_cells(statistics))
    console.print(table)


def _cells(statistics: FiringStatistics) -> list[str]:
    values, histogram = statistics.values, statistics.histogram()
    spikes = [f"{statistics.spikes(coding) / values:.2f}" for coding in CODINGS]
    shares = [histogram[0], statistics.clipped, sum(histogram[:8])]
    return spikes + [f"{share / values:.1%}" for share in shares]


def _add_profile(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "profile",
        help="record how each site of each layer spikes on a text, for the compiler",
        description=_PROFILE,
    )
    _add_windows(parser)
    _add_recipe(parser)
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
    parser.set_defaults(run=_profile)


def _profile(options: argparse.Namespace) -> None:
    if options.keep < 1:
        raise ValueError(f"--keep must be at least 1, not {options.keep}")
    if options.output.suffix != ".npz":
        raise ValueError(f"--output must end in .npz, not {options.output.name!r}")
    if not options.output.absolute().parent.is_dir():
        raise ValueError(f"--output must lie in a directory that exists, not {options.output}")
    recipe, checkpoint, context, batches = _windows(options)
    with _progress(MofNCompleteColumn()) as progress:
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


def _add_generate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "generate",
        help="continue a text with the integer model",
        description="Continue a text as a device does: in integers, the likeliest token each time.",
    )
    parser.add_argument("--model", required=True, help=_MODEL)
    parser.add_argument("--prompt", required=True, help="the text to continue")
    parser.add_argument(
        "--tokens", type=int, default=64, help="tokens to add at most (default: %(default)s)"
    )
    _add_recipe(parser)
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    if options.tokens < 1:
        raise ValueError(f"--tokens must be at least 1, not {options.tokens}")
    recipe = load_recipe(options.recipe)
    checkpoint = load(options.model)
    tokenizer, limit = checkpoint.tokenizer, checkpoint.config.max_positions
    ids = tokenizer.encode(options.prompt)
    if not ids:
        raise ValueError("--prompt must have at least one token for this model, not none")
    if len(ids) + options.tokens > limit:
        raise ValueError(
            f"--prompt and --tokens must be at most {limit} tokens for this model, not "
            f"{len(ids)} and {options.tokens}"
        )
    model = IntegerModel(fold(checkpoint, recipe.fold_text), recipe)
    print(options.prompt, end="", flush=True)
    shown = len(tokenizer.decode(ids))
    for token in model.stream(ids, options.tokens, tokenizer.eos_ids):
        ids.append(token)
        text = tokenizer.decode(ids)
        if not text.endswith("\ufffd"):  # the beginning of a character of several tokens
            print(text[shown:], end="", flush=True)
            shown = len(text)
    print(text[shown:])


def _add_fetch(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("fetch", help="get a known model into the cache, and check it")
    parser.add_argument("model", metavar="MODEL", help=", ".join(fetch.KNOWN))
    parser.set_defaults(run=_fetch)


def _fetch(options: argparse.Namespace) -> None:
    with _progress(DownloadColumn()) as progress:
        task = progress.add_task("fetching", total=None)
        path = fetch.fetch(
            options.model, lambda done, total: progress.update(task, completed=done, total=total)
        )
    print(path)


def _progress(amount: MofNCompleteColumn | DownloadColumn) -> Progress:
    """Return a progress bar on stderr, silent where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    sys.exit(main())
