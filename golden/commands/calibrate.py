"""`python -m golden calibrate`."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from golden.calibration import calibrate
from golden.calibration.split import split
from golden.checkpoint.checkpoint import load
from golden.commands.options import require_place
from golden.console.progress import Work
from golden.measure.perplexity import read_text
from golden.model.find_fold import find_fold
from golden.numerics.neuron import LARGEST_SHIFTS, MAX_COUNT
from golden.recipe.adapter import unpack_adapter
from golden.recipe.fold_file import StoredFold, pack_fold, unpack_fold
from golden.recipe.recipe import ATTENTION_SITES, to_toml
from golden.recipe.settings import SiteSettings

__all__ = ["run"]

_T = TypeVar("_T")
_SAID = ("skip", "distil", "fold", "fold_text", "adapter", "weights_from", "scale_bits", "shifts")
_SAID = (*_SAID, "max_count")
_DISTILLED = 0.4  # the share of bytes that an adapter is for where none is asked for


def run(options: argparse.Namespace) -> None:
    """Find a recipe, and write it with what belongs to it."""
    _require_sense(options)
    default, head = _settings(options)
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
        laps = 1 if options.no_dead_zones else calibrate.LAPS
        passes = bool(parts.lessons) + (not options.no_dead_zones) + _finds_exponents(options)
        total = 1 + passes * len(parts.slopes) + len(parts.checks) * (1 + laps)
        work.begin("calibrating", total + len(parts.lessons))
        if source is None and not options.keep_grid:
            packed = pack_fold(find_fold(checkpoint, encode(parts.fold)))
            options.fold = options.output.with_suffix(".fold.npz")
            options.fold.write_bytes(packed)
            source = unpack_fold(packed)  # as it will be read again
        found = calibrate.Calibration(
            checkpoint, source, parts.slopes, parts.checks, work.advance, default, head
        )
        if adapter is not None:
            found.adapt(adapter)
        if parts.lessons:
            packed = found.distil(parts.lessons, options.skip or _DISTILLED)
            options.adapter = learnt
            options.adapter.write_bytes(packed)
        exponents = None
        if _finds_exponents(options):
            exponents = options.output.with_suffix(".exponents.npz")
            exponents.write_bytes(found.find_exponents())
        if options.no_dead_zones:
            points = [found.measure(found.recipe({}))]
        else:
            points = found.search(options.budget, options.skip)
    for point in sorted(points, key=lambda point: point.skipped):
        print(f"perplexity {point.ratio:.4f} x fp32, {point.skipped:.1%} of bytes skipped")
    kept = {"fold": options.fold, "adapter": options.adapter, "exponents": exponents}
    kept = {kind: path for kind, path in kept.items() if path is not None}
    chosen = calibrate.best(points, options.budget, options.skip)
    if chosen is None:
        _write_report(options, points)
        raise ValueError(
            f"no recipe was found within the budget of {options.budget}"
            + (f" that skips {options.skip:.0%}" if options.skip else "")
            + ": ask for less"
            + "".join(f", with --{kind} {path}" for kind, path in kept.items() if path != exponents)
        )
    head = [
        f"Calibrated: python -m golden calibrate {command}",
        f"Perplexity {chosen.ratio:.4f} x fp32, {chosen.skipped:.1%} of all weight bytes skipped,",
        f"on the {sum(map(len, parts.checks))} tokens that it was chosen on.",
    ]
    names = {
        kind: os.path.relpath(path, options.output.absolute().parent) for kind, path in kept.items()
    }
    recipe = chosen.recipe
    if options.keep_grid:  # they are not encoded where it is found, and lose by one threshold too
        shifts = {site: SiteSettings(shifts=LARGEST_SHIFTS) for site in ATTENTION_SITES}
        recipe = replace(recipe, sites=recipe.sites | shifts)
    options.output.write_text(to_toml(recipe, head, names), encoding="utf-8")
    _write_report(options, points)
    for path in (*kept.values(), options.output):
        print(path)


def _write_report(options: argparse.Namespace, points: list[calibrate.Point]) -> None:
    if options.report:
        rows = [{"skipped": point.skipped, "ratio": point.ratio} for point in points]
        options.report.write_text(json.dumps({"model": options.model, "points": rows}) + "\n")


def _finds_exponents(options: argparse.Namespace) -> bool:
    return options.keep_grid and not options.no_exponents


def _settings(options: argparse.Namespace) -> tuple[SiteSettings, SiteSettings | None]:
    """Return how sites encode, and how the head does where its count is not lowered too."""
    weights = options.weights_from or ("auto" if options.keep_grid else "rows")
    scale_bits = options.scale_bits
    try:
        default = SiteSettings(
            weights=weights,
            scale_bits=scale_bits,
            max_count=options.max_count,
            shifts=options.shifts,
        )
    except ValueError as error:
        name, rest = str(error).split(" ", 1)
        raise ValueError(f"--{name.replace('_', '-')} {rest}") from None
    if default.max_count == MAX_COUNT:
        return default, None
    return default, replace(default, max_count=MAX_COUNT)


def _require_sense(options: argparse.Namespace) -> None:
    if not options.budget > 1:
        raise ValueError(f"--budget must be above 1, not {options.budget}")
    if options.skip is not None and not 0 < options.skip < 1:
        raise ValueError(f"--skip must be between 0 and 1, not {options.skip}")
    if options.distil < 0:
        raise ValueError(f"--distil must be a number of tokens, not {options.distil}")
    if options.no_dead_zones and options.skip is not None:
        raise ValueError("--skip needs dead zones: leave --no-dead-zones out")
    if options.keep_grid:
        for name in ("fold", "fold_text", "adapter", "distil"):
            if getattr(options, name):
                option = name.replace("_", "-")
                raise ValueError(f"--{option} changes weights: leave it or --keep-grid out")
    elif options.weights_from not in (None, "rows"):
        raise ValueError(
            f"--weights-from {options.weights_from} needs --keep-grid: a fold leaves the grid"
        )
    elif options.scale_bits != 16 or options.no_exponents:
        option = "no-exponents" if options.no_exponents else "scale-bits"
        raise ValueError(f"--{option} needs --keep-grid")
    if options.fold is not None and options.fold_text is not None:
        raise ValueError("--fold and --fold-text both say what to fold: give one of them")
    if options.output.suffix != ".toml":
        raise ValueError(f"--output must end in .toml, not {options.output.name!r}")
    require_place(options.output, "--output")
    for kind in ("fold", "adapter", "exponents"):
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
    switches = ("keep_grid", "no_exponents", "no_dead_zones")
    plain = {"max_count": 127, "scale_bits": 16}
    for name in (*_SAID, *switches):
        value = getattr(options, name)
        if value and value != plain.get(name):
            shown = value.name if isinstance(value, Path) else value
            said.append(f"--{name.replace('_', '-')}" + ("" if name in switches else f" {shown}"))
    return " ".join(said)
