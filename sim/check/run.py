"""Runs one layer on a device and holds it against the golden model."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy
import torch

from compiler.artifact import manifest as manifests
from compiler.artifact import program
from golden.checkpoint import checkpoint as checkpoints
from golden.checkpoint import fetch
from golden.console.places import outputs
from hw.contract.params import HwParams
from hw.contract.presets import PRESETS, preset
from sim.check import cases, report
from sim.check.cases import Case
from sim.check.compare import judge
from sim.device import Result, Timing, no_counts
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.rtl.verilog import tool_versions, wave_format

__all__ = [
    "LOCK",
    "OUTPUT_ROOT",
    "Clock",
    "Request",
    "alone",
    "forget",
    "preset_name",
    "run",
]

OUTPUT_ROOT = outputs("sim")
"""Where reports go, by model and layer."""

LOCK = ".lock"
"""What `alone` leaves in a directory."""

_MODEL, _REPORT = "smollm2-135m", "report.json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run: see ``python -m sim run --help``; None stands for the default.

    Attributes
    ----------
    layer, model, preset, coding, recipe, prompt, rows : str or None
        What is compiled, and for which vectors.
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
    output : Path or None
        Directory of the report.
    """

    layer: str | None = None
    model: str | None = None
    preset: str | None = None
    array: str = "spike"
    no_skip: bool = False
    coding: str = "csd"
    recipe: str = "w8"
    prompt: str | None = None
    rows: str | None = None
    compiled: Path | None = None
    tokens: int | None = None
    device: str = "rtl"
    timing: Timing = Timing()
    waves: bool = False
    output: Path | None = None


def forget(request: Request) -> None:
    """Remove an older run's report from where this one's goes, before anything is refused."""
    model, layer = request.model or _MODEL, request.layer or ""
    if request.output is None:
        try:
            if request.compiled is not None:
                manifest = manifests.read(request.compiled)
                model, layer = manifest["model"]["name"], ",".join(manifest["layers"])
            elif model not in fetch.KNOWN:
                model = checkpoints.load(model).config.name
        except (ValueError, OSError):  # it does not even tell what is to run
            return
    (_directory(request, model, layer) / _REPORT).unlink(missing_ok=True)


class Clock:
    """Wall clock of the parts of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str):
        """Add the time spent inside to the part called `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def run(
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
    forget(request)
    require_device(request.device)
    if request.waves and request.device != "rtl":
        raise ValueError(f"waves are recorded on the rtl device only, not on {request.device}")
    with ExitStack() as until_the_end:
        return _run(request, say, progress, until_the_end)


def _run(
    request: Request,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
    until_the_end: ExitStack,
) -> tuple[dict[str, object], Path]:
    clock = Clock()
    with clock.part("golden_and_compile"):
        case = _case(request, say, until_the_end)
    directory = _directory(request, case.model, case.layer)
    path = directory / _REPORT
    path.unlink(missing_ok=True)  # an older run's report must not stand for this one
    say("functional device")
    with clock.part("functional"):
        reference = open_device("functional", case.compiled.params)
        result = functional = reference.run(case.compiled, case.inputs)
    total = functional.counters["dram_bytes_read"]
    if request.device != "functional":
        options = Options(
            timing=request.timing,
            waves=directory / f"waves.{wave_format()}" if request.waves else None,
            progress=lambda done: progress(done, total),
            say=say,
        )
        with clock.part("build"):
            device = open_device(request.device, case.compiled.params, options)
        say(f"{request.device} device")
        with clock.part("simulate"):
            try:
                result = device.run(case.compiled, case.inputs)
            except HardwareFault as fault:
                result = fault
    verdict = judge(case.compiled, case.expected, functional, result, request.device)
    finished = report.assemble(
        case,
        verdict,
        preset=preset_name(case.compiled.params),
        device=request.device,
        counters=result.counters if isinstance(result, Result) else no_counts(),
        settings=vars(request.timing),
        seconds=clock.seconds,
        versions={**tool_versions(), "numpy": numpy.__version__, "torch": torch.__version__},
    )
    report.write(finished, path)
    return finished, path


@contextmanager
def alone(directory: Path):
    """Wait until no other run works in `directory`, and keep others out."""
    with _locked(directory):  # until it is closed, by whatever end of this process
        yield


def _locked(directory: Path) -> TextIO:
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(directory / LOCK)):
                return lock
        except FileNotFoundError:
            pass
        lock.close()  # whoever had it has removed it


def _case(request: Request, say: Callable[[str], None], until_the_end: ExitStack) -> Case:
    def compiled_directory(model: str) -> Path:
        directory = _directory(request, model, request.layer)
        until_the_end.enter_context(alone(directory))
        return directory / "compiled"

    if request.compiled is not None:
        hardware = preset(request.preset) if request.preset else None
        compiled = program.load(request.compiled, hardware)
        return cases.of_directory(compiled, request.model, prompt=request.prompt, say=say)
    if request.layer is None:
        raise ValueError("a layer, such as mlp0, or a compiled directory must be named")
    return cases.of_layers(
        request.model or _MODEL,
        request.layer.split(","),
        params=replace(
            preset(request.preset or "edge"),
            array=request.array,
            skip_silent=not request.no_skip,
        ),
        recipe=request.recipe,
        coding=request.coding,
        rows=request.rows,
        prompt=request.prompt,
        tokens=request.tokens,
        directory=compiled_directory,
        say=say,
    )


def _directory(request: Request, model: str, layer: str) -> Path:
    return request.output or OUTPUT_ROOT / cases.file_name(model) / cases.file_name(layer)


def preset_name(params: HwParams) -> str | None:
    """Return the preset whose parameters these are, but for what makes it an opponent."""
    opponents = {"array": "spike", "skip_silent": True}
    usual = replace(params, **opponents)
    named = (name for name, known in PRESETS.items() if replace(known, **opponents) == usual)
    return next(named, None)
