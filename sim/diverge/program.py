"""What is compared: a compiled program, and what it is started with."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.program import Compiled, load
from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.prompt import Prompt
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from sim.check.case import Case, of_directory
from sim.check.case import of_layers as case_of_layers
from sim.check.origin import recipe_of
from sim.device import NO_TOKEN, Registers
from sim.diverge.golden import GoldenLayers, GoldenModel
from sim.diverge.sources import Source
from sim.generate.compiled import compiled_model
from sim.generate.request import MODEL, PRESET, GenerateRequest
from sim.generate.text import registers_of, text_ids
from sim.runs.place import Place, hardware_names, place_of, taken

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
    prompt : str or sequence of int
        What the inputs or `ids` are of.
    """

    compiled: Compiled
    inputs: Mapping[str, np.ndarray]
    ids: list[int]
    registers: Registers
    golden: Callable[[], Source]
    prompt: Prompt = ""

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
    request: GenerateRequest, layer: str | None, runner: str, say: Say, until_the_end: ExitStack
) -> tuple[Program, Place]:
    """Return what a request asks for, and a place for the report.

    Parameters
    ----------
    request : GenerateRequest
        The model, the prompt and how much of it.
    layer : str, optional
        Layers (``mlp0``) in place of a whole model.
    runner : str
        What runs it, for the name of the place.
    say : callable
        Is told what is being done.
    until_the_end : ExitStack
        Holds the place.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    compiled = None
    if request.compiled is not None:
        compiled = load(request.compiled, preset(request.preset) if request.preset else None)
    if layer is not None or (compiled is not None and not compiled.is_model):
        return _layers(request, layer, compiled, runner, say, until_the_end)
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")
    opened = compiled_model(request, runner, say, until_the_end)
    checkpoint, prompt = opened.checkpoint, request.prompt_of(opened.checkpoint.config.name)
    ids = text_ids(checkpoint, prompt, request.tokens, opened.compiled.context)
    stop = registers_of(ids, checkpoint, request.tokens).stop_token
    program = of_model(opened.compiled, checkpoint, ids, request.tokens, stop)
    return replace(program, prompt=prompt), opened.place


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


def of_layers(case: Case) -> Program:
    """Return the program of a layer."""
    return Program(
        compiled=case.compiled,
        inputs=case.inputs,
        ids=[],
        registers=Registers(),
        golden=lambda: GoldenLayers(case.expected),
        prompt=case.prompt,
    )


def _layers(
    request: GenerateRequest,
    layer: str | None,
    compiled: Compiled | None,
    runner: str,
    say: Say,
    until_the_end: ExitStack,
) -> tuple[Program, Place]:
    def take(model: str, layers: str, *names: str) -> Place:
        own = request.output or place_of(model, layers, *names, runner)
        asked = {**request.asked(model, runner), "layer": layers, "device": runner}
        return until_the_end.enter_context(
            taken(own, asked, command=request.command, fixed=request.output is not None)
        )

    if compiled is not None:
        case = of_directory(compiled, request.model, prompt=request.prompt, say=say)
        manifest = compiled.manifest
        names = (manifest["coding"], manifest["recipe"]["name"])
        place = take(case.model, case.layer, *hardware_names(compiled.params), *names)
        return of_layers(case), place
    layers = layer or ""
    params, recipe = preset(request.preset or PRESET), load_recipe(request.recipe)
    places: list[Place] = []

    def compiled_directory(model: str, _tokens: int) -> Path:
        names = (*hardware_names(params), request.coding, recipe.name)
        places.append(take(model, layers, *names))
        return places[0].directory / "compiled"

    case = case_of_layers(
        request.model or MODEL,
        layers.split(","),
        params=params,
        recipe=recipe,
        coding=request.coding,
        rows=None,
        prompt=request.prompt,
        tokens=None,
        directory=compiled_directory,
        say=say,
    )
    return of_layers(case), places[0]
