"""`python -m golden calibrate`."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from golden.calibration import calibrate
from golden.calibration.split import split
from golden.checkpoint.checkpoint import load
from golden.commands.options import require_place
from golden.console.progress import Work
from golden.measure.perplexity import read_text
from golden.model.find_fold import find_fold
from golden.recipe.adapter import unpack_adapter
from golden.recipe.fold_file import StoredFold, pack_fold, unpack_fold
from golden.recipe.recipe import to_toml

__all__ = ["run"]

_T = TypeVar("_T")
_DISTILLED = 0.4  # the share of bytes that an adapter is for where none is asked for


def run(options: argparse.Namespace) -> None:
    """Find a recipe, and write it with what belongs to it."""
    _require_sense(options)
    command = _repeated(options)
    own = None if options.fold_text is None else "\n".join(read_text(options.fold_text))
    source: str | StoredFold | None = own
    if options.fold is not None:
        source = _unpacked("fold", options.fold, unpack_fold)
    adapter = None
    if options.adapter is not None:
        adapter = _unpacked("adapter", options.adapter, unpack_adapter)
    learnt = options.output.with_suffix(".adapter.npz")
    if (
        options.distil
        and options.adapter is not None
        and learnt.resolve() == options.adapter.resolve()
    ):
        raise ValueError(f"--distil would write over --adapter {learnt}: give another --output")
    documents = read_text(options.text)
    checkpoint = load(options.model)
    context = min(1024, checkpoint.config.max_positions)
    encode = checkpoint.tokenizer.encode
    parts = split(documents, encode, context, options.tokens, options.distil)
    if not (parts.slopes and parts.checks):
        raise ValueError(
            f"text {options.text} and --tokens must leave two windows to calibrate on: give more"
        )
    if options.distil and not parts.lessons:
        raise ValueError(
            f"text {options.text} must be longer than what --tokens takes, for --distil: give more"
        )
    with Work("calibrating") as work:
        curves = 1 + bool(parts.lessons) + (adapter is not None)  # each time that it changes
        total = 1 + curves * len(parts.slopes) + len(parts.checks) * (1 + calibrate.LAPS)
        work.begin("calibrating", total + len(parts.lessons))
        if source is None:
            packed = pack_fold(find_fold(checkpoint, encode(parts.fold)))
            options.fold = options.output.with_suffix(".fold.npz")
            options.fold.write_bytes(packed)
            source = unpack_fold(packed)  # as it will be read again
        found = calibrate.Calibration(checkpoint, source, parts.slopes, parts.checks, work.advance)
        if adapter is not None:
            found.adapt(adapter)
        if parts.lessons:
            packed = found.distil(parts.lessons, options.skip or _DISTILLED)
            options.adapter = learnt
            options.adapter.write_bytes(packed)
        points = found.search(options.budget, options.skip)
    for point in sorted(points, key=lambda point: point.skipped):
        print(f"perplexity {point.ratio:.4f} x fp32, {point.skipped:.1%} of bytes skipped")
    kept = {"fold": options.fold, "adapter": options.adapter}
    kept = {kind: path for kind, path in kept.items() if path is not None}
    chosen = calibrate.best(points, options.budget, options.skip)
    if chosen is None:
        _write_report(options, points)
        raise ValueError(
            f"no recipe was found within the budget of {options.budget}"
            + (f" that skips {options.skip:.0%}" if options.skip else "")
            + ": ask for less"
            + "".join(f", with --{kind} {path}" for kind, path in kept.items())
        )
    head = [
        f"Calibrated: python -m golden calibrate {command}",
        f"Perplexity {chosen.ratio:.4f} x fp32, {chosen.skipped:.1%} of all weight bytes skipped,",
        f"on the {sum(map(len, parts.checks))} tokens that it was chosen on.",
    ]
    names = {
        kind: os.path.relpath(path, options.output.absolute().parent) for kind, path in kept.items()
    }
    options.output.write_text(to_toml(chosen.recipe, head, names), encoding="utf-8")
    _write_report(options, points)
    for path in (*kept.values(), options.output):
        print(path)


def _write_report(options: argparse.Namespace, points: list[calibrate.Point]) -> None:
    if options.report:
        rows = [{"skipped": point.skipped, "ratio": point.ratio} for point in points]
        options.report.write_text(json.dumps({"model": options.model, "points": rows}) + "\n")


def _require_sense(options: argparse.Namespace) -> None:
    if not options.budget > 1:
        raise ValueError(f"--budget must be above 1, not {options.budget}")
    if options.skip is not None and not 0 < options.skip < 1:
        raise ValueError(f"--skip must be between 0 and 1, not {options.skip}")
    if options.distil < 0:
        raise ValueError(f"--distil must be a number of tokens, not {options.distil}")
    if options.fold is not None and options.fold_text is not None:
        raise ValueError("--fold and --fold-text both say what to fold: give one of them")
    if options.output.suffix != ".toml":
        raise ValueError(f"--output must end in .toml, not {options.output.name!r}")
    require_place(options.output, "--output")
    for kind in ("fold", "adapter"):
        require_place(options.output.with_suffix(f".{kind}.npz"), "--output, with its files,")
    if options.report is not None:
        require_place(options.report, "--report")
        if options.report.resolve() == options.output.resolve():
            raise ValueError(f"--report and --output must be two files, not both {options.output}")
    if options.adapter is not None and options.fold is None and options.fold_text is None:
        raise ValueError("--adapter needs the fold it was learnt with: give --fold too")


def _unpacked(kind: str, path: Path, unpack: Callable[[bytes], _T]) -> _T:
    try:
        return unpack(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{kind} {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{kind} {path} {error}") from None


def _repeated(options: argparse.Namespace) -> str:
    """Return the options that find the recipe again, files without their folders."""
    said = [f"--model {Path(options.model).name} --text {options.text.name}"]
    said += [f"--budget {options.budget} --tokens {options.tokens}"]
    for name in ("skip", "distil", "fold", "fold_text", "adapter"):
        if value := getattr(options, name):
            shown = value.name if isinstance(value, Path) else value
            said.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(said)
