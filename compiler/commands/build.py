"""`python -m compiler build`."""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from compiler.artifact.program import Compiled
from compiler.boards.board import board_called
from compiler.boards.pick import Picked, pick
from compiler.commands import devices as devices_cli
from compiler.commands.summary import summarize, summarize_prediction
from compiler.models.request import Request, refuse_fold, request
from compiler.passes.lower import ALL_LAYERS
from compiler.predict.activity import CODING, profiled
from compiler.programs.layers import build
from compiler.programs.model import build_model
from compiler.programs.plan import Plan, make_plan, write_plan
from compiler.storage.partial import telling
from golden.console import version
from golden.console.progress import Work
from golden.measure.profile import Profile
from golden.measure.profile_file import load_profile
from golden.recipe.recipe import Recipe, load_recipe
from hw.contract.presets import preset

__all__ = ["run"]

OUTPUT_ROOT = Path("build/compiled")
"""Where a model goes, under its name, unless another directory is asked for."""


def run(options: argparse.Namespace) -> None:
    """Compile what is asked for, and print what it is."""
    begin = time.monotonic()
    together = options.devices != 1
    if together:
        devices_cli.require_options(options)
    _require_one_hardware(options)
    make = _maker(options)
    recipe = load_recipe(options.recipe)
    with Work("reading") as work:
        wanted = request(
            options.model,
            checkpoint=options.checkpoint,
            weights=options.weights,
            seed=options.seed,
        )
        refuse_fold(wanted, recipe)
        picked = _picked(options, wanted, recipe, work.say)
        params = picked.params if picked else preset(options.preset or wanted.preset)
        room = {"context": options.context, "memory": options.memory}
        speed = {}
        if picked:
            room = {"context": picked.context, "memory": picked.memory}
            speed = {"words_a_cycle": picked.words_a_cycle}
        directory = options.output or OUTPUT_ROOT / wanted.name
        again = partial(_plan, options, wanted, params=params, recipe=recipe, **room, **speed)
        plan = report = None

        def draw(directory: Path, manifest: dict) -> None:
            nonlocal report
            work.say("drawing the report")
            report = _draw(plan, again, directory, manifest, options, wanted, picked)

        of_weights = options.layers == ALL_LAYERS and wanted.checkpoint is not None
        with telling(directory) if of_weights else nullcontext():
            if together:
                shares = devices_cli.build(options, wanted, directory, params, recipe, work.say)
                devices_cli.summarize(shares, options.json, time.monotonic() - begin)
                return
            plan = again(coding=options.coding or "csd")
            if wanted.checkpoint is None:
                assert plan is not None  # _plan refuses layers without weights
                compiled = write_plan(plan, directory, draw)
            else:
                more = {}
                if plan is not None:
                    more = {"reports": draw, "words_a_cycle": plan.words_a_cycle, **room}
                compiled = make(
                    wanted.checkpoint,
                    directory=directory,
                    params=params,
                    recipe=recipe,
                    weights=wanted.entry,
                    progress=lambda matrix: work.say(f"compiled {matrix}"),
                    **more,
                )
    board = report.get("board") if report is not None else None
    summarize(compiled, options, time.monotonic() - begin, board)
    if report is not None and not options.json:
        summarize_prediction(report, directory)


def _plan(options: argparse.Namespace, wanted: Request, **choices: object) -> Plan | None:
    """Return the plan of a whole model; None of single layers."""
    if options.layers != ALL_LAYERS:
        if options.position is not None:
            raise ValueError(
                f"--position must be left out: {options.layers} has no report of a whole model"
            )
        if wanted.checkpoint is None:
            raise ValueError(
                f"a plan without weights is of the whole model, not of {options.layers}: leave out "
                "--layers, or give a --checkpoint or --weights synthetic"
            )
        return None
    if wanted.checkpoint is None and options.profile is not None:
        raise ValueError("--profile must be left out: a plan has no weights that it could be of")
    return make_plan(wanted.config, position=options.position, **choices)


def _picked(
    options: argparse.Namespace, wanted: Request, recipe: Recipe, say: Callable[[str], None]
) -> Picked | None:
    """Return what is picked for a board, if one is asked for."""
    if options.board is None:
        return None
    say("picking the hardware")
    profile = None
    if options.profile is not None and wanted.checkpoint is not None:
        profile = load_profile(Path(options.profile))
        profile.identity.require(wanted.checkpoint, recipe)
    return pick(
        options.board,
        wanted.config,
        recipe,
        position=options.position,
        context=options.context,
        memory=options.memory,
        profile=profile,
        coding=options.coding or CODING,
        clock_mhz=options.clock,
    )


def _draw(
    plan: Plan,
    again: Callable[..., Plan | None],
    work: Path,
    manifest: dict,
    options: argparse.Namespace,
    wanted: Request,
    picked: Picked | None,
) -> dict[str, object]:
    """Write a plan's reports, with a profile of a plan made by what it measured; returns them."""
    from compiler.report.write import write_reports  # matplotlib takes its time

    about: dict[str, object] = {"command": options.command_line, **version.about()}
    about |= {"source": wanted.source, "weights": wanted.weights}
    if wanted.seed is not None:
        about["seed"] = wanted.seed
    raster = None
    if options.profile is not None:
        profile = load_profile(Path(options.profile))
        raster = profile.raster
        codings = _codings(manifest["schedule"], profile)
        plan = again(coding=codings, activities=profiled(profile))
    return write_reports(
        plan, work, about=about, raster=raster, picked=picked, clock_mhz=options.clock
    )


def _codings(schedule: dict, profile: Profile) -> dict[str, str]:
    """Return each site's coding as the manifest has it."""
    return {site: schedule["codings"].get(site, schedule["coding"]) for site in profile.sites}


def _maker(options: argparse.Namespace) -> Callable[..., Compiled]:
    """Return what compiles, with the options that only one of the two kinds has."""
    of_model = ("context", "memory", "profile", "board", "clock")
    only = {"layers": ("tokens", "rows"), "model": of_model}
    kind = "model" if options.layers == ALL_LAYERS else "layers"
    (other,) = only.keys() - {kind}
    for name in only[other]:
        if getattr(options, name) is not None:
            of_all = f"--layers {ALL_LAYERS}" if kind == "model" else options.layers
            raise ValueError(f"--{name} must be left out: {of_all} does not have it")
    takes = [name for name in only[kind] if name not in ("board", "clock")]
    choices = {name: getattr(options, name) for name in takes}
    if kind == "model":
        if options.profile is not None:
            choices["profile"] = load_profile(Path(options.profile))
        return partial(build_model, coding=options.coding, **choices)
    names = [layer for layer in options.layers.split(",") if layer]
    return partial(build, layers=names, coding=options.coding or "csd", **choices)


def _require_one_hardware(options: argparse.Namespace) -> None:
    """Raise ValueError where hardware is asked for twice, or as a board that is not known."""
    if options.board is None:
        return
    if options.preset is not None:
        raise ValueError("--preset must be left out: --board picks the hardware")
    board_called(options.board)
