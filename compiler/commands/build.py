"""`python -m compiler build`."""

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compiler.artifact.program import Compiled
from compiler.boards.board import board_called
from compiler.boards.pick import Picked, pick
from compiler.commands import devices
from compiler.commands.summary import summarize, summarize_prediction
from compiler.models.request import Request, refuse_fold, request
from compiler.passes.lower import ALL_LAYERS
from compiler.predict.activity import CODING, profiled
from compiler.predict.workload import Activities
from compiler.programs.devices import CompiledDevices
from compiler.programs.layers import build
from compiler.programs.model import build_model
from compiler.programs.plan import Plan, make_plan, write_plan
from compiler.storage.partial import telling
from golden.console import version
from golden.console.progress import Work
from golden.measure.profile import Profile
from golden.measure.profile_file import load_profile
from golden.model.prepare import Grids, grids, no_grid
from golden.recipe.recipe import Recipe, load_recipe
from hw.contract.description import described
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["run"]

OUTPUT_ROOT = Path("build/compiled")
"""Where a model goes, under its name, unless another directory is asked for."""

_OF_MODEL = ("context", "memory", "profile", "board", "clock")  # options of a whole model


@dataclass(frozen=True, kw_only=True)
class _Build:
    """What is asked for, once it is known that it can be built."""

    options: argparse.Namespace
    wanted: Request
    recipe: Recipe
    profile: Profile | None
    picked: Picked | None
    directory: Path
    work: Work

    @cached_property
    def params(self) -> HwParams:
        """The hardware."""
        if self.picked is not None:
            return self.picked.params
        if self.options.hardware is not None:
            return described(self.options.hardware)
        return preset(self.options.preset or self.wanted.preset)

    @property
    def context(self) -> int | None:
        """Positions of a whole model."""
        return self.options.context if self.picked is None else self.picked.context

    @property
    def memory(self) -> int | None:
        """Bytes that a whole model must fit in."""
        return self.options.memory if self.picked is None else self.picked.memory


def run(options: argparse.Namespace) -> None:
    """Compile what is asked for, and print what it is."""
    begin = time.monotonic()
    if options.devices != 1:
        devices.require_options(options)
    profile = _checked(options)
    recipe = load_recipe(options.recipe)
    with Work("reading") as work:
        wanted = request(
            options.model,
            checkpoint=options.checkpoint,
            weights=options.weights,
            seed=options.seed,
        )
        refuse_fold(wanted, recipe)
        asked = _Build(
            options=options,
            wanted=wanted,
            recipe=recipe,
            profile=profile,
            picked=_picked(options, wanted, recipe, profile, work.say),
            directory=options.output or OUTPUT_ROOT / wanted.name,
            work=work,
        )
        report: dict[str, Any] | None = None
        if options.layers != ALL_LAYERS:
            compiled = _build_layers(asked)
        elif options.devices != 1:
            compiled = _build_shares(asked)
        else:
            compiled, report = _build_model(asked)
    seconds = time.monotonic() - begin
    if isinstance(compiled, CompiledDevices):
        devices.summarize(compiled, options.json, seconds)
        return
    summarize(compiled, options, seconds, report.get("board") if report else None)
    if report is not None and not options.json:
        summarize_prediction(report, asked.directory)


def _build_layers(asked: _Build) -> Compiled:
    """Compile single layers."""
    options, checkpoint = asked.options, asked.wanted.checkpoint
    if options.position is not None:
        raise ValueError(
            f"--position must be left out: {options.layers} has no report of a whole model"
        )
    if checkpoint is None:
        raise ValueError(
            f"a plan without weights is of the whole model, not of {options.layers}: leave out "
            "--layers, or give a --checkpoint or --weights synthetic"
        )
    return build(
        checkpoint,
        [layer for layer in options.layers.split(",") if layer],
        asked.directory,
        params=asked.params,
        recipe=asked.recipe,
        coding=options.coding or CODING,
        tokens=options.tokens,
        rows=options.rows,
        weights=asked.wanted.entry,
        progress=lambda matrix: asked.work.say(f"compiled {matrix}"),
    )


def _build_shares(asked: _Build) -> CompiledDevices:
    """Compile a whole model for several devices."""
    with telling(asked.directory) if asked.wanted.checkpoint is not None else nullcontext():
        return devices.build(
            asked.options,
            asked.wanted,
            asked.directory,
            asked.params,
            asked.recipe,
            asked.work.say,
        )


def _build_model(asked: _Build) -> tuple[Compiled, dict[str, Any]]:
    """Compile a whole model, or plan one without weights; returns its report too."""
    options, checkpoint = asked.options, asked.wanted.checkpoint
    if checkpoint is None and asked.profile is not None:
        raise ValueError("--profile must be left out: a plan has no weights that it could be of")
    report: dict[str, Any] = {}

    def draw(directory: Path, manifest: dict) -> None:
        asked.work.say("drawing the report")
        report.update(_draw(asked, plan, directory, manifest))

    with telling(asked.directory) if checkpoint is not None else nullcontext():
        plan = _plan(asked, options.coding or CODING)
        if checkpoint is None:
            return write_plan(plan, asked.directory, draw), report
        compiled = build_model(
            checkpoint,
            asked.directory,
            params=asked.params,
            recipe=asked.recipe,
            coding=options.coding,
            context=asked.context,
            memory=asked.memory,
            profile=asked.profile,
            words_a_cycle=plan.words_a_cycle,
            weights=asked.wanted.entry,
            progress=lambda matrix: asked.work.say(f"compiled {matrix}"),
            reports=draw,
        )
    return compiled, report


def _plan(
    asked: _Build,
    coding: str | Mapping[str, str],
    activities: Callable[[int], Activities] | None = None,
) -> Plan:
    """Return the plan of a whole model."""
    return make_plan(
        asked.wanted.config,
        params=asked.params,
        recipe=asked.recipe,
        coding=coding,
        context=asked.context,
        memory=asked.memory,
        activities=activities,
        position=asked.options.position,
        words_a_cycle=1.0 if asked.picked is None else asked.picked.words_a_cycle,
        grids=_grids(asked),
    )


def _grids(asked: _Build) -> Grids:
    checkpoint = asked.wanted.checkpoint
    return no_grid if checkpoint is None else grids(checkpoint, asked.recipe)


def _draw(asked: _Build, plan: Plan, directory: Path, manifest: dict) -> dict[str, Any]:
    """Write a plan's reports, with a profile of a plan made by what it measured; returns them."""
    from compiler.report.write import write_reports  # matplotlib takes its time

    options, wanted, profile = asked.options, asked.wanted, asked.profile
    about: dict[str, object] = {"command": options.command_line, **version.about()}
    about |= {"source": wanted.source, "weights": wanted.weights}
    if wanted.seed is not None:
        about["seed"] = wanted.seed
    if profile is not None:
        plan = _plan(asked, _codings(manifest["schedule"], profile), profiled(profile))
    return write_reports(
        plan,
        directory,
        about=about,
        raster=None if profile is None else profile.raster,
        picked=asked.picked,
        clock_mhz=options.clock,
    )


def _codings(schedule: dict, profile: Profile) -> dict[str, str]:
    """Return each site's coding as the manifest has it."""
    return {site: schedule["codings"].get(site, schedule["coding"]) for site in profile.sites}


def _picked(
    options: argparse.Namespace,
    wanted: Request,
    recipe: Recipe,
    profile: Profile | None,
    say: Callable[[str], None],
) -> Picked | None:
    """Return what is picked for a board, if one is asked for."""
    if options.board is None:
        return None
    say("picking the hardware")
    if profile is not None and wanted.checkpoint is not None:
        profile.identity.require(wanted.checkpoint, recipe)
    return pick(
        options.board,
        wanted.config,
        recipe,
        position=options.position,
        context=options.context,
        memory=options.memory,
        profile=profile if wanted.checkpoint is not None else None,
        coding=options.coding or CODING,
        clock_mhz=options.clock,
        grids=no_grid if wanted.checkpoint is None else grids(wanted.checkpoint, recipe),
    )


def _checked(options: argparse.Namespace) -> Profile | None:
    """Refuse what only one of the two kinds has, and hardware asked for twice; return a profile."""
    if options.board is not None:
        if options.preset is not None:
            raise ValueError("--preset must be left out: --board picks the hardware")
        board_called(options.board)
    if options.hardware is not None:
        for name in ("preset", "board"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} must be left out: --hardware says what it is")
    whole = options.layers == ALL_LAYERS
    for name in ("tokens", "rows") if whole else _OF_MODEL:
        if getattr(options, name) is not None:
            of_all = f"--layers {ALL_LAYERS}" if whole else options.layers
            raise ValueError(f"--{name} must be left out: {of_all} does not have it")
    return None if options.profile is None else load_profile(Path(options.profile))
