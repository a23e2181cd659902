"""Runs one layer on a device and holds it against the golden model."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact import program
from compiler.predict.cycles import CLOCK_MHZ
from golden.checkpoint.prompt import Prompt
from golden.recipe.known import DEFAULT_RECIPE
from golden.recipe.recipe import load_recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset
from sim.check import report
from sim.check.activations import default_prompt
from sim.check.case import Case, of_directory, of_layers
from sim.check.verdict import judge
from sim.device import Result, Timing, no_counts
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.rtl.verilog import wave_format
from sim.runs.clock import Clock
from sim.runs.energy import effort
from sim.runs.place import (
    OUTPUTS,
    REPORT,
    Place,
    hardware_names,
    place_of,
    preset_name,
    retire,
    taken,
    write_json,
)
from sim.runs.tally import Tally

__all__ = ["Request", "check"]

_MODEL, _PRESET = "smollm2-135m", "edge"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run: see ``python -m sim run --help``; None stands for the default.

    Attributes
    ----------
    layer, model, preset, coding, recipe, rows : str or None
        What is compiled.
    prompt : str, sequence of int or None
        For which vectors: text, or tokens.
    array : str
        `HwParams.array`.
    no_skip : bool
        Whether the hardware fetches silent channels too.
    compiled : Path or None
        A compiled directory to run instead; then layer, array, coding, recipe, tokens and rows are
        its.
    tokens : int or None
        Vectors of each input.
    device : str
        One of `sim.devices.DEVICES`.
    timing : Timing
        Of the memory behind the rtl and cycle devices, and the seed.
    waves : bool
        Whether the rtl device records waves.
    clock_mhz : float
        That the hardware is taken to have, for seconds.
    output : Path or None
        Directory of the report; by default one that no other request has.
    command : str or None
        The command line that asks for it, for the report.
    """

    layer: str | None = None
    model: str | None = None
    preset: str | None = None
    array: str = "spike"
    no_skip: bool = False
    coding: str = "csd"
    recipe: str = DEFAULT_RECIPE
    prompt: Prompt | None = None
    rows: str | None = None
    compiled: Path | None = None
    tokens: int | None = None
    device: str = "rtl"
    timing: Timing = Timing()
    waves: bool = False
    clock_mhz: float = CLOCK_MHZ
    output: Path | None = None
    command: str | None = None


def check(
    request: Request,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[dict[str, object], Path]:
    """Run `request`.

    Parameters
    ----------
    request : Request
        What to run.
    say : callable
        Is told what is being done.
    progress : callable
        Is told bytes that the simulated hardware has read, and those that it will read in all.

    Returns
    -------
    tuple of dict and Path
        The report (`sim.check.report.assemble`) and the file it was written to.

    Raises
    ------
    ValueError
        In one sentence, where the request is at fault.
    ToolError
        Where a tool is missing or fails.
    """
    if request.output is not None:
        retire(request.output)
    require_device(request.device)
    if request.waves and request.device != "rtl":
        raise ValueError(f"waves are recorded on the rtl device only, not on {request.device}")
    if request.clock_mhz <= 0:
        raise ValueError(f"clock must be above 0 MHz, not {request.clock_mhz:g}")
    with ExitStack() as until_the_end:
        return _check(request, say, progress, until_the_end)


def _check(
    request: Request,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
    until_the_end: ExitStack,
) -> tuple[dict[str, object], Path]:
    clock = Clock()
    with clock.part("golden_and_compile"):
        case, place = _case(request, say, until_the_end)
    compiled, inputs = case.compiled, case.inputs
    say("functional device")
    tally = Tally(compiled)
    with clock.part("functional"):
        reference = open_device("functional", compiled.params, Options(observe=tally))
        functional = reference.run(compiled, inputs)
    total = functional.counters["dram_bytes_read"] or 0
    waves = place.directory / f"waves.{wave_format()}" if request.waves else None
    result: Result | HardwareFault = functional
    if request.device != "functional":
        options = Options(
            timing=request.timing,
            waves=waves,
            progress=lambda done: progress(done, total),
            say=say,
        )
        with clock.part("build"):
            device = open_device(request.device, compiled.params, options)
        say(f"{request.device} device")
        with clock.part("simulate"):
            try:
                result = device.run(compiled, inputs)
            except HardwareFault as fault:
                result = fault
    counters = no_counts()
    if isinstance(result, Result):
        counters = result.counters
        np.savez(place.directory / OUTPUTS, **result.outputs)  # pyright: ignore[reportArgumentType]
    finished = report.assemble(
        case,
        judge(compiled, case.expected, functional, result, request.device),
        preset=preset_name(compiled.params),
        device=request.device,
        counters=counters,
        settings=request.timing.told(request.device),
        effort=effort(compiled, counters, tally, functional.counters, request.clock_mhz),
        clock=clock,
        place=place,
        waves=waves,
    )
    path = place.directory / REPORT
    write_json(finished, path)
    return finished, path


def _case(
    request: Request, say: Callable[[str], None], until_the_end: ExitStack
) -> tuple[Case, Place]:
    hardware = preset(request.preset) if request.preset else None
    if request.compiled is not None:
        compiled = program.load(request.compiled, hardware)
        case = of_directory(compiled, request.model, prompt=request.prompt, say=say)
        layer, recipe = case.layer, compiled.manifest["recipe"]["name"]
        request = replace(
            request, coding=compiled.manifest["coding"], model=case.model, preset=None
        )
        place = _place(request, case.model, layer, recipe, compiled.params)
        return case, until_the_end.enter_context(place)
    if request.layer is None:
        raise ValueError("a layer, such as mlp0, or a compiled directory must be named")
    params = replace(
        hardware or preset(_PRESET), array=request.array, skip_silent=not request.no_skip
    )
    layer, recipe = request.layer, load_recipe(request.recipe)
    places: list[Place] = []

    def compiled_directory(model: str, tokens: int) -> Path:
        place = _place(replace(request, tokens=tokens), model, layer, recipe.name, params)
        places.append(until_the_end.enter_context(place))
        return places[0].directory / "compiled"

    case = of_layers(
        request.model or _MODEL,
        layer.split(","),
        params=params,
        recipe=recipe,
        coding=request.coding,
        rows=request.rows,
        prompt=request.prompt,
        tokens=request.tokens,
        directory=compiled_directory,
        say=say,
    )
    return case, places[0]


def _place(request: Request, model: str, layer: str, recipe: str, params: HwParams):
    """Return the place of a run, to be entered."""
    own = request.output
    if own is None:
        names = (*hardware_names(params), request.coding, recipe, request.device)
        own = place_of(model, layer, *names)
    asked, fixed = _asked(request, model), request.output is not None
    return taken(own, asked, command=request.command, fixed=fixed)


def _asked(request: Request, model: str) -> Mapping[str, Any]:
    """Return what the results depend on; a default is the same as what it stands for."""
    asked = asdict(request)
    for name in ("output", "command", "waves", "clock_mhz", "timing"):
        del asked[name]
    asked |= request.timing.asked(request.device)
    asked["model"] = request.model or _MODEL
    if request.prompt == default_prompt(model):
        asked["prompt"] = None
    if request.compiled is not None:
        asked["compiled"] = str(request.compiled.resolve())
    elif request.preset is None:
        asked["preset"] = _PRESET
    return asked
