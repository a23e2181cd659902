"""Continues a text on a device: the program of a whole model, from its prompt on."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy
import torch

from compiler.artifact.program import Compiled
from golden.checkpoint.checkpoint import Checkpoint
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from hw.contract.regs import Error
from sim.check import report
from sim.check.activations import default_prompt
from sim.check.recipe import recipe_of
from sim.check.run import Clock, preset_name
from sim.device import Device, Registers, Result, no_counts
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.generate.text import Text, decoded, difference, made_tokens, registers_of, text_ids
from sim.generate.whole import GenerateRequest, compiled_model
from sim.rtl.verilog import tool_versions

__all__ = ["generate", "report_of"]


def generate(
    request: GenerateRequest,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    write: Callable[[str], None] = lambda _text: None,
) -> tuple[dict[str, object], Path]:
    """Generate what is asked for.

    Parameters
    ----------
    request : GenerateRequest
        What it is.
    say : callable
        Is told what is being done.
    write : callable
        Is given the text, prompt and all, piece by piece as the device makes it.

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
    _check(request)
    clock = Clock()
    with ExitStack() as until_the_end:
        with clock.part("compile"):
            compiled, checkpoint, directory = compiled_model(request, say, until_the_end)
            memory = compiled.image({})
        name = checkpoint.config.name
        prompt = default_prompt(name) if request.prompt is None else request.prompt
        ids = text_ids(checkpoint, prompt, request.tokens, compiled.context)
        path = directory / "report.json"
        path.unlink(missing_ok=True)  # an older run's report must not stand for this one
        with clock.part("build"):
            options = Options(timing=request.timing, say=say)
            device = open_device(request.device, compiled.params, options)
        say(f"{request.device} device")
        text = Text(checkpoint=checkpoint, write=write, ids=list(ids), prompt_end=len(ids))
        text.begin()
        tokens = compiled.token_words(memory)
        tokens[: len(ids)] = ids
        registers = registers_of(ids, checkpoint, request.tokens)
        with clock.part("generate"):
            finished = _execute(device, compiled, memory, registers, text)
        failures = []
        if isinstance(finished, HardwareFault):
            failures, finished, made = [str(finished)], None, []
        else:
            made = made_tokens(tokens, ids, finished, checkpoint)
            if finished.error is not Error.NONE:
                failures.append(
                    f"the program ended on {request.device} at position {finished.position} with "
                    f"error {finished.error.name}"
                )
        for token in made[len(text.ids) - len(ids) :]:  # of a device that told none of them
            text.add(token)
        if request.check and finished is not None:
            say("golden model")
            with clock.part("golden"):
                recipe = recipe_of(compiled)
                model = IntegerModel(prepare(checkpoint, recipe), recipe)
                want = model.generate(ids, request.tokens, checkpoint.tokenizer.eos_ids)
            failures += difference(want, made, len(ids), request.device)
            if request.device != "functional":
                say("functional device")
                with clock.part("functional"):
                    failures += _other(compiled, ids, registers, finished, memory, request.device)
        whole = report_of(
            request, compiled, checkpoint, prompt, ids, made, finished, failures, clock.seconds
        )
        report.write(whole, path)
    return whole, path


def _check(request: GenerateRequest) -> None:
    require_device(request.device)
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")


def _execute(
    device: Device,
    compiled: Compiled,
    memory: numpy.ndarray,
    registers: Registers,
    text: Text,
) -> Result | HardwareFault:
    try:
        return device.execute(
            memory, compiled.program_address, compiled.params, registers, text.take
        )
    except HardwareFault as fault:
        return fault


def _other(
    compiled: Compiled,
    ids: list[int],
    registers: Registers,
    finished: Result,
    memory: numpy.ndarray,
    device: str,
) -> list[str]:
    """Return what a device leaves or counts other than the functional one, a sentence each."""
    expected = compiled.image({})
    compiled.token_words(expected)[: len(ids)] = ids
    functional = open_device("functional", compiled.params)
    reference = functional.execute(expected, compiled.program_address, compiled.params, registers)
    differing = numpy.flatnonzero(memory != expected)
    left = []
    if differing.size:
        at = int(differing[0])
        left.append(
            f"{differing.size} bytes of memory, the first at {compiled.place_of(at)}: the "
            f"functional device leaves {expected[at]}, {device} {memory[at]}"
        )
    return left + [
        f"counter {name}: the functional device says {value}, {device} says {got}"
        for name, value in reference.counters.items()
        if None not in (value, got := finished.counters[name]) and value != got
    ]


def report_of(
    request: GenerateRequest,
    compiled: Compiled,
    checkpoint: Checkpoint,
    prompt: str,
    ids: list[int],
    made: list[int],
    finished: Result | None,
    failures: list[str],
    seconds: dict[str, float],
) -> dict[str, object]:
    """Return the report of a run; `finished` is None where it did not come to an end."""
    manifest = compiled.manifest
    counters = finished.counters if finished else no_counts()
    positions = finished.position if finished else 0
    cycles = counters["cycles"]
    return {
        "model": checkpoint.config.name,
        "preset": preset_name(compiled.params),
        "coding": manifest["coding"],
        "recipe": manifest["recipe"]["name"],
        "context": compiled.context,
        "memory_bytes": compiled.memory_bytes,
        "device": request.device,
        **asdict(request.timing),
        "prompt": prompt,
        "prompt_tokens": ids,
        "tokens": made,
        "text": decoded(checkpoint, made),
        "passed": not failures,
        "failures": failures,
        "checked_with": "golden" if request.check else None,
        "positions": positions,
        "seconds_per_position": round(seconds["generate"] / positions, 6) if positions else None,
        "cycles_per_position": round(cycles / positions, 1) if cycles and positions else None,
        "counters": counters,
        "wall_seconds": round(sum(seconds.values()), 3),
        "seconds": {part: round(value, 3) for part, value in seconds.items()},
        "params": manifest["params"],
        "fingerprint": compiled.fingerprint,
        "versions": {
            **tool_versions(),
            "numpy": numpy.__version__,
            "torch": torch.__version__,
        },
        "weights": manifest["weights"],
    }
