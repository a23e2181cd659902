"""Continues a text on a device: the program of a whole model, from its prompt on."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import numpy
import torch

from compiler.program import Compiled
from golden.checkpoints import Checkpoint
from golden.fold import fold
from golden.integer import IntegerModel
from hw.regs import Error
from sim import cases, report
from sim.activations import default_prompt, prompt_ids
from sim.builds import build_bench
from sim.cycle import Cycle
from sim.device import NO_TOKEN, Finished, Registers, WholeDevice, no_counts
from sim.errors import HardwareFault
from sim.functional import Functional
from sim.rtl import Rtl
from sim.run import DEVICES, Clock, preset_name
from sim.verilog import tool_versions
from sim.whole import GenerateRequest, compiled_model

__all__ = ["generate"]


@dataclass(frozen=True, kw_only=True)
class _Text:
    """Turns tokens into text as they come."""

    checkpoint: Checkpoint
    write: Callable[[str], None]
    ids: list[int]

    def begin(self) -> None:
        """Write the prompt."""
        self.write(self.checkpoint.tokenizer.decode(self.ids))

    def add(self, token: int) -> None:
        """Write what one more token adds to the text."""
        decode = self.checkpoint.tokenizer.decode
        before = decode(self.ids).rstrip("\ufffd")
        self.ids.append(token)
        # A character may take several tokens; until then they decode to this one.
        self.write(decode(self.ids).rstrip("\ufffd")[len(before) :])


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
        ids = _ids(checkpoint, prompt, request.tokens, compiled)
        path = directory / "report.json"
        path.unlink(missing_ok=True)  # an older run's report must not stand for this one
        with clock.part("build"):
            device = _device(request, compiled, say)
        say(f"{request.device} device")
        text = _Text(checkpoint=checkpoint, write=write, ids=list(ids))
        text.begin()
        tokens = compiled.token_words(memory)
        tokens[: len(ids)] = ids
        registers = _registers(ids, checkpoint, request)
        with clock.part("generate"):
            finished = _execute(device, compiled, memory, registers, text)
        failures = []
        if isinstance(finished, HardwareFault):
            failures, finished, made = [str(finished)], None, []
        else:
            made = _made(tokens, ids, finished, checkpoint)
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
                recipe = cases.recipe_of(compiled)
                model = IntegerModel(fold(checkpoint, recipe.fold_text), recipe)
                want = model.generate(ids, request.tokens, checkpoint.tokenizer.eos_ids)
            failures += _difference(want, made, len(ids), request.device)
            if request.device != "functional":
                say("functional device")
                with clock.part("functional"):
                    failures += _other_counters(compiled, ids, registers, finished, request.device)
        whole = _report(
            request, compiled, checkpoint, prompt, ids, made, finished, failures, clock.seconds
        )
        report.write(whole, path)
    return whole, path


def _check(request: GenerateRequest) -> None:
    if request.device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {request.device!r}")
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")


def _ids(checkpoint: Checkpoint, prompt: str, tokens: int, compiled: Compiled) -> list[int]:
    ids = prompt_ids(checkpoint, prompt)
    if len(ids) + tokens > compiled.context:
        raise ValueError(
            f"the prompt has {len(ids)} tokens and {tokens} are to follow, more than the "
            f"{compiled.context} positions that the model is compiled for: ask for fewer"
        )
    return ids


def _device(
    request: GenerateRequest, compiled: Compiled, say: Callable[[str], None]
) -> WholeDevice:
    if request.device == "functional":
        return Functional()
    if request.device == "cycle":
        return Cycle(timing=request.timing)
    say("building the simulator, once for this hardware")
    return Rtl(build_bench(compiled.params), timing=request.timing)


def _registers(ids: list[int], checkpoint: Checkpoint, request: GenerateRequest) -> Registers:
    """Return registers for a run; of several tokens that end a text, hardware knows the first."""
    stop = checkpoint.tokenizer.eos_ids
    return Registers(
        prompt_end=len(ids),
        end_position=len(ids) + request.tokens - 1,  # the last token is made there
        stop_token=stop[0] if stop else NO_TOKEN,
    )


def _execute(
    device: WholeDevice,
    compiled: Compiled,
    memory: numpy.ndarray,
    registers: Registers,
    text: _Text,
) -> Finished | HardwareFault:
    stop = text.checkpoint.tokenizer.eos_ids

    def on_token(position: int, token: int) -> None:
        ended = len(text.ids) > registers.prompt_end and text.ids[-1] in stop
        if position >= registers.prompt_end and not ended:
            text.add(token)

    try:
        return device.execute(
            memory, compiled.program_address, compiled.params, registers, on_token
        )
    except HardwareFault as fault:
        return fault


def _made(
    tokens: numpy.ndarray, ids: list[int], finished: Finished, checkpoint: Checkpoint
) -> list[int]:
    """Return the tokens after the prompt, up to the first that ends a text."""
    made = tokens[len(ids) : finished.position + 1].tolist()
    stop = checkpoint.tokenizer.eos_ids
    ends = next((at for at, token in enumerate(made) if token in stop), len(made))
    return made[: ends + 1]


def _difference(want: list[int], made: list[int], first: int, device: str) -> list[str]:
    """Return where two runs of tokens, from position `first` on, first differ, as a sentence."""
    for at, (ours, theirs) in enumerate(zip_longest(made, want)):
        if ours != theirs:
            said = ["no token" if token is None else f"token {token}" for token in (theirs, ours)]
            return [f"position {first + at}: golden says {said[0]}, {device} says {said[1]}"]
    return []


def _other_counters(
    compiled: Compiled, ids: list[int], registers: Registers, finished: Finished, device: str
) -> list[str]:
    """Return where a device counts other than the functional device does, a sentence each."""
    memory = compiled.image({})
    compiled.token_words(memory)[: len(ids)] = ids
    reference = Functional().execute(memory, compiled.program_address, compiled.params, registers)
    return [
        f"counter {name}: the functional device says {value}, {device} says {got}"
        for name, value in reference.counters.items()
        if None not in (value, got := finished.counters[name]) and value != got
    ]


def _report(
    request: GenerateRequest,
    compiled: Compiled,
    checkpoint: Checkpoint,
    prompt: str,
    ids: list[int],
    made: list[int],
    finished: Finished | None,
    failures: list[str],
    seconds: dict[str, float],
) -> dict[str, object]:
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
        "text": checkpoint.tokenizer.decode(made),
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
