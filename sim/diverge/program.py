"""What is compared: a compiled program, and what it is started with."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.program import Compiled, load
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.prompt import prompt_ids
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from hw.contract.presets import preset
from sim.check import cases
from sim.check.activations import default_prompt
from sim.check.recipe import recipe_of
from sim.check.run import OUTPUT_ROOT, alone
from sim.device import NO_TOKEN, Registers
from sim.diverge.golden import GoldenLayers, GoldenModel
from sim.diverge.sources import Source
from sim.generate.whole import GenerateRequest, compiled_model

__all__ = ["Program", "of_layers", "of_model", "program_of"]

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled program, and what it is started with.

    Attributes
    ----------
    compiled : Compiled
        The program.
    inputs : mapping of str to ndarray
        Of layers, their vectors.
    ids : list of int
        Of a whole model, the prompt.
    registers : Registers
        What the host sets.
    golden : callable
        Runs the golden model, and returns its side.
    """

    compiled: Compiled
    inputs: Mapping[str, np.ndarray]
    ids: list[int]
    registers: Registers
    golden: Callable[[], Source]

    def memory(self) -> np.ndarray:
        """Return memory before the start."""
        memory = self.compiled.image(self.inputs)
        if self.ids:
            self.compiled.token_words(memory)[: len(self.ids)] = self.ids
        return memory

    def about(self) -> dict[str, Any]:
        """Return what two runs must have in common."""
        digest = hashlib.sha256()
        for region in self.compiled.regions:
            contents = self.compiled.manifest["regions"][region].get("sha256", "")
            digest.update(f"{region} {contents}\n".encode())
        start = hashlib.sha256(json.dumps([self.ids, asdict(self.registers)]).encode())
        for _, vectors in sorted(self.inputs.items()):
            start.update(vectors.tobytes())
        return {"program": digest.hexdigest()[:16], "start": start.hexdigest()[:16]}


def program_of(
    request: GenerateRequest, layer: str | None, say: Say, until_the_end: ExitStack
) -> tuple[Program, str, Path]:
    """Return what a request asks for, the prompt, and a directory for the report.

    Parameters
    ----------
    request : GenerateRequest
        The model, the prompt and how much of it.
    layer : str, optional
        Layers (``mlp0``) in place of a whole model.
    say : callable
        Is told what is being done.
    until_the_end : ExitStack
        Holds the directory.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    compiled = None
    if request.compiled is not None:
        compiled = load(request.compiled, preset(request.preset) if request.preset else None)
    if layer is not None or (compiled is not None and not compiled.is_model):
        return _layers(request, layer, compiled, say, until_the_end)
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")
    compiled, checkpoint, directory = compiled_model(request, say, until_the_end)
    prompt = default_prompt(checkpoint.config.name) if request.prompt is None else request.prompt
    ids = prompt_ids(checkpoint, prompt)
    if len(ids) + request.tokens > compiled.context:
        raise ValueError(
            f"the prompt has {len(ids)} tokens and {request.tokens} are to follow, more than the "
            f"{compiled.context} positions that the model is compiled for: ask for fewer"
        )
    stop = checkpoint.tokenizer.eos_ids
    program = of_model(compiled, checkpoint, ids, request.tokens, stop[0] if stop else NO_TOKEN)
    return program, prompt, directory


def of_model(
    compiled: Compiled, checkpoint: Checkpoint, ids: list[int], tokens: int, stop: int = NO_TOKEN
) -> Program:
    """Return the program of a whole model that continues `ids` by at most `tokens` tokens."""

    def golden() -> Source:
        recipe = recipe_of(compiled)
        side = GoldenModel(checkpoint.config)
        model = IntegerModel(prepare(checkpoint, recipe), recipe, observe=side.observe)
        side.run(model, ids, tokens, stop)
        return side

    registers = Registers(prompt_end=len(ids), end_position=len(ids) + tokens - 1, stop_token=stop)
    return Program(compiled=compiled, inputs={}, ids=ids, registers=registers, golden=golden)


def of_layers(case: cases.Case) -> Program:
    """Return the program of a layer."""
    return Program(
        compiled=case.compiled,
        inputs=case.inputs,
        ids=[],
        registers=Registers(),
        golden=lambda: GoldenLayers(case.expected),
    )


def _layers(
    request: GenerateRequest,
    layer: str | None,
    compiled: Compiled | None,
    say: Say,
    until_the_end: ExitStack,
) -> tuple[Program, str, Path]:
    def directory(model: str, layers: str) -> Path:
        names = (cases.file_name(name) for name in (model, layers))
        return request.output or OUTPUT_ROOT.joinpath(*names)

    def compiled_directory(model: str) -> Path:
        place = directory(model, layer)
        until_the_end.enter_context(alone(place))
        return place / "compiled"

    if compiled is not None:
        case = cases.of_directory(compiled, request.model, prompt=request.prompt, say=say)
    else:
        case = cases.of_layers(
            request.model or "smollm2-135m",
            layer.split(","),
            params=preset(request.preset or "edge"),
            recipe=request.recipe,
            coding=request.coding,
            rows=None,
            prompt=request.prompt,
            tokens=None,
            directory=compiled_directory,
            say=say,
        )
    return of_layers(case), case.prompt, directory(case.model, case.layer)
