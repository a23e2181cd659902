"""Runs one program on two devices, and says where they first differ."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sim.device import Timing
from sim.devices import DEVICES, Options, open_device
from sim.diverge import saved
from sim.diverge.explain import explain
from sim.diverge.locate import Outcome, compare
from sim.diverge.program import Program, program_of
from sim.diverge.record import Record, Recorder, ending, record_of_trace
from sim.diverge.sources import Dump, Replay, Source
from sim.diverge.steps import Step, Stepper
from sim.errors import HardwareFault
from sim.functional.machine import Observation
from sim.generate.request import GenerateRequest
from sim.runs.place import DIVERGENCE, write_json

__all__ = ["diverge", "execute", "outcome_of"]

Say = Callable[[str], None]
_GOLDEN = "golden"


def execute(
    device: str, program: Program, timing: Timing, say: Say = lambda _doing: None
) -> tuple[Record, list[Step]]:
    """Run a program on a device.

    Parameters
    ----------
    device : str
        One of `sim.devices.DEVICES`.
    program : Program
        What is run.
    timing : Timing
        The memory's.
    say : callable
        Is told what is being done.

    Returns
    -------
    tuple of Record and list of Step
        What it wrote; and, of a device that tells, the instructions (of rtl none).
    """
    compiled, memory = program.compiled, program.memory()
    start = (compiled.program_address, compiled.params, program.registers)

    def told(position: int, _token: int) -> None:
        say(f"{device} device: position {position}")

    recorder, stepper, steps = Recorder(memory), Stepper(compiled), []

    def observe(seen: Observation) -> None:
        step = stepper(seen)
        steps.append(step)
        recorder.add(step, seen.counts)

    with tempfile.TemporaryDirectory(prefix="spikeloom-") as directory:
        trace = Path(directory) / "trace"
        options = Options(timing=timing, trace=trace, observe=observe, say=say)
        runner = open_device(device, compiled.params, options)
        say(f"{device} device")
        if runner.observes:
            return recorder.record(runner.execute(memory, *start, told)), steps
        try:
            end = ending(runner.execute(memory, *start, told))
        except HardwareFault as fault:
            end = f"came to no end ({fault})"
        return record_of_trace(trace, compiled.params, end), []


def outcome_of(
    program: Program,
    sides: tuple[str, str],
    timing: Timing,
    *,
    keep: Path | None = None,
    say: Say = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Outcome:
    """Run what is not there yet, and compare.

    Parameters
    ----------
    program : Program
        What is run.
    sides : tuple of str
        Each a device, ``golden``, or a file (`sim.diverge.saved`).
    timing : Timing
        Of the memory behind the rtl and cycle devices.
    keep : Path, optional
        Directory in which the record of each device that runs is saved.
    say, progress : callable
        Are told what is being done, and how far the comparison is.

    Raises
    ------
    ValueError
        In one sentence, where a file is at fault.
    """
    about = program.about()
    files = {
        side: saved.load(Path(side), program.compiled, about) for side in sides if _is_file(side)
    }
    way, steps = execute("functional", program, timing, say)
    sources: list[Source] = []
    for side in sides:
        if side == _GOLDEN:
            say("golden model")
            sources.append(program.golden())
        elif (file := files.get(side)) is not None:
            if file.record is None:
                sources.append(Dump(file.memory, file.known, steps))
            else:
                sources.append(Replay(file.record))
        else:
            record = way
            if side != "functional":
                record, _ = execute(side, program, timing, say)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                saved.save(record, about, keep / f"{side}.npz")
            sources.append(Replay(record))
    say("comparing")
    return compare(steps, sources[0], sources[1], program.compiled.place_of, progress)


def diverge(
    request: GenerateRequest,
    sides: tuple[str, str],
    *,
    layer: str | None = None,
    keep: Path | None = None,
    say: Say = lambda _doing: None,
) -> tuple[dict[str, Any], Path]:
    """Compare two devices on what is asked for.

    Parameters
    ----------
    request : GenerateRequest
        The model, the prompt and how much of it; its device and check mean nothing.
    sides, keep, say
        As `outcome_of` takes them.
    layer : str, optional
        Layers in place of a whole model.

    Returns
    -------
    tuple of dict and Path
        The report and the file it was written to.

    Raises
    ------
    ValueError
        In one sentence, where the request is at fault.
    ToolError
        Where a tool is missing or fails.
    """
    for side in sides:
        if side not in (*DEVICES, _GOLDEN) and not Path(side).is_file():
            raise ValueError(
                f"{side!r} is neither a device ({', '.join((*DEVICES, _GOLDEN))}) nor the file of "
                "a run"
            )
    with ExitStack() as until_the_end:
        runner = "-".join(["diverge", *(Path(side).stem for side in sides)])
        program, place = program_of(request, layer, runner, say, until_the_end)
        path = place.directory / DIVERGENCE
        path.unlink(missing_ok=True)  # an older run's report must not stand for this one
        outcome = outcome_of(program, sides, request.timing, keep=keep, say=say)
        compiled = program.compiled
        whole = {
            "model": compiled.manifest["model"]["name"],
            "layers": ",".join(compiled.manifest["layers"]),
            "fingerprint": compiled.fingerprint,
            "a": sides[0],
            "b": sides[1],
            **request.timing.told(),
            "prompt": program.prompt,
            "same": outcome.first is None and outcome.beyond is None,
            "first": None if outcome.first is None else explain(compiled, outcome.first),
            "beyond": outcome.beyond,
            "instructions": outcome.instructions,
            "compared": outcome.compared,
            "hidden": outcome.hidden,
            **place.about,
        }
        write_json(whole, path)
    return whole, path


def _is_file(side: str) -> bool:
    return side not in (*DEVICES, _GOLDEN)
