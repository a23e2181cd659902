"""Continues a text on a device, or on several: the program of a whole model, from its prompt on."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from golden.checkpoint.prompt import Prompt
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from sim.check.origin import recipe_of
from sim.device import no_counts
from sim.generate.compiled import Opened
from sim.generate.one import OneDevice
from sim.generate.outcome import Outcome, Run
from sim.generate.request import GenerateRequest
from sim.generate.several import SeveralDevices, wanted
from sim.generate.text import Text, decoded, difference, made_tokens, registers_of, text_ids
from sim.runs.clock import Clock
from sim.runs.energy import effort
from sim.runs.place import REPORT, preset_name, retire, write_json

__all__ = ["MakeRunner", "Runner", "generate"]


class Runner(Protocol):
    """What runs a request, once it has compiled it: `opened`; `label` is what people call it."""

    opened: Opened
    label: str

    def run(self, run: Run) -> Outcome:
        """Run the program."""
        ...


MakeRunner = Callable[[GenerateRequest, Callable[[str], None], ExitStack], Runner]


def generate(
    request: GenerateRequest,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    tell: Callable[[str], None] = lambda _made: None,
    write: Callable[[str], None] = lambda _text: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    runner: MakeRunner | None = None,
) -> tuple[dict[str, Any], Path]:
    """Generate what is asked for.

    Parameters
    ----------
    request : GenerateRequest
        What it is.
    say : callable
        Is told what is done next.
    tell : callable
        Is told of each token its number, and the cycles so far where the device knows.
    write : callable
        Is given the text, prompt and all, piece by piece as the device makes it.
    progress : callable
        Is told how many positions are done, and how many there are at most.
    runner : callable, optional
        Makes what runs it; by default the request's device, or several of it.

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
    if request.output is not None:
        retire(request.output)
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")
    clock = Clock()
    make: MakeRunner = runner or (SeveralDevices if wanted(request) else OneDevice)
    with ExitStack() as until_the_end:
        with clock.part("compile"):
            runs = make(request, say, until_the_end)
        opened = runs.opened
        compiled, checkpoint = opened.compiled, opened.checkpoint
        prompt = request.prompt_of(checkpoint.config.name)
        ids = text_ids(checkpoint, prompt, request.tokens, compiled.context)
        registers = registers_of(ids, checkpoint, request.tokens)
        text = Text(
            checkpoint=checkpoint,
            write=write,
            tell=lambda made: tell(f"{runs.label}, {made}"),
            progress=progress,
            ids=list(ids),
            prompt_end=len(ids),
            tokens=request.tokens,
        )
        text.begin()
        outcome = runs.run(Run(ids=ids, registers=registers, text=text, clock=clock, say=say))
        made, failures = [], list(outcome.failures)
        if outcome.result is not None:
            made = made_tokens(outcome.words, ids, outcome.result, checkpoint)
            text.catch_up(made)
        if request.check and outcome.result is not None:
            say("golden model")
            with clock.part("golden"):
                recipe = recipe_of(compiled)
                model = IntegerModel(prepare(checkpoint, recipe), recipe)
                want = model.generate(ids, request.tokens, checkpoint.tokenizer.eos_ids)
            failures += difference(want, made, len(ids), runs.label)
        finished = _report(request, opened, outcome, prompt, ids, made, failures, clock)
        path = opened.place.directory / REPORT
        write_json(finished, path)
    return finished, path


def _report(
    request: GenerateRequest,
    opened: Opened,
    outcome: Outcome,
    prompt: Prompt,
    ids: list[int],
    made: list[int],
    failures: list[str],
    clock: Clock,
) -> dict[str, Any]:
    """Return the report of a run."""
    compiled, checkpoint = opened.compiled, opened.checkpoint
    manifest, result = compiled.manifest, outcome.result
    counters = result.counters if result else no_counts()
    positions = result.position if result else 0
    cycles = counters["cycles"]
    spent = clock.seconds.get("generate", 0.0)
    return {
        "model": checkpoint.config.name,
        "preset": preset_name(compiled.params),
        "coding": manifest["coding"],
        "recipe": manifest["recipe"]["name"],
        "context": compiled.context,
        "memory_bytes": compiled.memory_bytes,
        "device": request.device,
        **request.timing.told(request.device),
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "prompt_tokens": ids,
        "tokens": made,
        "text": decoded(checkpoint, made),
        "passed": not failures,
        "failures": failures,
        "checked_with": "golden" if request.check else None,
        "positions": positions,
        "seconds_per_position": round(spent / positions, 6) if positions else None,
        "cycles_per_position": round(cycles / positions, 1) if cycles and positions else None,
        "counters": counters,
        **effort(compiled, counters, outcome.tally, outcome.tallied, request.clock_mhz),
        **clock.report(),
        "params": manifest["params"],
        "fingerprint": compiled.fingerprint,
        "weights": manifest["weights"],
        **opened.place.about,
        **outcome.more,
    }
