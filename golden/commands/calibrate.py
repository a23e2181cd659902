"""`python -m golden calibrate`."""

import argparse
import json
from pathlib import Path

from rich.progress import MofNCompleteColumn

from golden import calibrate
from golden.calibrate import split
from golden.checkpoints import load
from golden.commands.options import progress_bar, require_place
from golden.fold import find_fold
from golden.fold_file import pack_fold, unpack_fold
from golden.perplexity import read_text

__all__ = ["add"]

_ABOUT = """\
The end of the text is used, so that its beginning remains for measurements. The checkpoint is
folded with what is found on a part of it, which is kept beside the recipe; the dead zone of each
site of each layer is chosen by what it costs in loss and saves in bytes, and the integer model is
run to keep to the budget. See docs/quality.md.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "calibrate",
        help="find the recipe that leaves the most weight bytes unfetched within a budget",
        description=_ABOUT,
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
        help="what the fold is found on, whenever the recipe is used, which will hold it (default: "
        "it is found on the end of the text, and kept as numbers beside the recipe)",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, help="the recipe, a TOML file")
    parser.add_argument("--report", type=Path, help="a JSON file for all points that were measured")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if not options.budget > 1:
        raise ValueError(f"--budget must be above 1, not {options.budget}")
    if options.skip is not None and not 0 < options.skip < 1:
        raise ValueError(f"--skip must be between 0 and 1, not {options.skip}")
    if options.output.suffix != ".toml":
        raise ValueError(f"--output must end in .toml, not {options.output.name!r}")
    require_place(options.output, "--output")
    if options.report is not None:
        require_place(options.report, "--report")
    own = None if options.fold_text is None else "\n".join(read_text(options.fold_text))
    documents = read_text(options.text)
    checkpoint = load(options.model)
    context = min(1024, checkpoint.config.max_positions)
    text, slopes, checks = split(documents, checkpoint.tokenizer.encode, context, options.tokens)
    if not (slopes and checks):
        raise ValueError(
            f"text {options.text} and --tokens must leave two windows to calibrate on: give more"
        )
    with progress_bar(MofNCompleteColumn()) as progress:
        total = 1 + len(slopes) + len(checks) * (1 + calibrate.LAPS)
        task = progress.add_task("calibrating", total=total)
        step = lambda doing: progress.update(task, description=doing, advance=1)  # noqa: E731
        packed = b""
        if own is None:
            packed = pack_fold(find_fold(checkpoint, checkpoint.tokenizer.encode(text)))
        source = own or unpack_fold(packed)  # as it will be read again
        found = calibrate.Calibration(checkpoint, source, slopes, checks, step)
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
    beside = options.output.with_suffix(".fold.npz")
    if packed:
        beside.write_bytes(packed)
        print(beside)
    toml = calibrate.to_toml(chosen.recipe, head, beside.name)
    options.output.write_text(toml, encoding="utf-8")
    print(options.output)
