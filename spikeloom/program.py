"""Compiled programs: what they hold, and their execution on a device."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compiler.artifact.program import Compiled, load
from compiler.passes.lower import ALL_LAYERS
from compiler.programs.layers import build
from compiler.programs.model import build_model
from golden.checkpoint.prompt import Prompt
from golden.numerics.fixed import to_fixed
from sim.check.activations import default_prompt, prompt_vectors
from sim.check.origin import recipe_of, require_weights
from sim.device import Timing
from sim.devices import Options, open_device
from sim.memories import IDEAL
from sim.runs.tally import Tally
from spikeloom.choices import Hardware, Recipe
from spikeloom.choices import hardware as chosen_hardware
from spikeloom.given import vectors, whole
from spikeloom.run import Run, of_layers, of_model
from spikeloom.table import Table

if TYPE_CHECKING:
    from spikeloom.model import Model

__all__ = ["Program", "compiled", "opened"]

_INPUT = ".input"  # what the region of a site's vectors is called after the site


class Program:
    """A compiled program, with its weights, for one accelerator; `Model.compile` returns it.

    Parameters
    ----------
    model : Model
        What it is compiled from.
    files : Compiled
        Its directory, read back.
    recipe : Recipe
        By which it is compiled.
    temporary : TemporaryDirectory, optional
        What holds the directory, and is removed with this object.
    """

    def __init__(
        self,
        model: "Model",
        files: Compiled,
        recipe: Recipe,
        temporary: "TemporaryDirectory[str] | None" = None,
    ) -> None:
        self.model, self.files, self.recipe, self._temporary = model, files, recipe, temporary

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self.files.directory

    @property
    def hardware(self) -> Hardware:
        """What it is compiled for."""
        return self.files.params

    @property
    def layers(self) -> list[str]:
        """What is compiled: names of layers, or ``all``."""
        return list(self.files.manifest["layers"])

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that it needs."""
        return self.files.memory_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices' weights."""
        return self.files.weight_bytes

    @property
    def inputs(self) -> dict[str, tuple[int, int]]:
        """Of layers, by site, the shape of the vectors that `run` takes, (tokens, channels)."""
        regions, tokens = self.files.inputs, self.files.tokens
        return {
            name.removesuffix(_INPUT): (tokens, region.channels) for name, region in regions.items()
        }

    def __repr__(self) -> str:
        """Return what it is of, and its size."""
        layers, size = ",".join(self.layers), self.memory_bytes
        return f"Program({self.model.name}, {layers}, {size:,} bytes of memory)"

    def instructions(self) -> Table:
        """Return its instructions in order: the operation, and its fields as text."""
        return Table(
            {
                "instruction": index,
                "operation": opcode.name,
                "fields": ", ".join(f"{name}={value}" for name, value in fields.items()),
            }
            for index, (opcode, fields) in enumerate(self.files.instructions())
        )

    def run(
        self,
        prompt: Prompt | None = None,
        *,
        inputs: Mapping[str, ArrayLike] | None = None,
        tokens: int | None = None,
        device: str = "cycle",
        latency: int = 60,
        stalls: float = 0.0,
        seed: int = 0,
        memory: str = IDEAL,
        check: bool = True,
    ) -> Run:
        """Execute it: layers on the vectors of a prompt, or a whole model that continues a text.

        Parameters
        ----------
        prompt : str or sequence of int, optional
            A text, or token ids; by default one that suits the model. Layers take the vectors of
            its last tokens.
        inputs : mapping of str to array, optional
            Of layers, the vectors to take instead: real numbers, for every site and of the shape
            that `Program.inputs` has. Matrices do not feed each other: ``mlp0`` takes vectors for
            ``layers.0.down`` as well as for ``layers.0.gate_up``.
        tokens : int, optional
            Of a whole model, how many are added at most; by default 16.
        device : str
            ``functional`` (bits and counts, no time), ``cycle`` (cycles as the RTL's), or ``rtl``
            (the Verilog in Verilator, which takes minutes to build the first time).
        latency : int
            Cycles from a request to its data, 1 to 100000; of cycle and rtl.
        stalls : float
            Share of the cycles in which the memory makes each channel wait, 0 to 0.9.
        seed : int
            Of the stalls.
        memory : str
            ``ideal``, which latency and stalls are of, or ``litedram-ddr3``: a DDR3 of 16 bits
            behind LiteDRAM's controller.
        check : bool
            Whether golden computes the same: `Run.failures` says where they differ, and
            `Run.spikes` is what golden encodes.

        Raises
        ------
        ValueError
            In one sentence, where the request is at fault.
        sim.errors.ToolError
            Where a tool that the device needs is missing or fails.
        sim.errors.HardwareFault
            Where the simulated hardware breaks a rule of its bus, or does not come to an end.
        """
        tally = Tally(self.files)
        timing = Timing(latency=latency, stalls=stalls, seed=seed, memory=memory)
        options = Options(timing=timing, observe=tally)
        if self.files.is_model:
            if inputs is not None:
                raise ValueError("inputs must be left out: a whole model takes a prompt")
            text = default_prompt(self.model.name) if prompt is None else prompt
            executor = open_device(device, self.hardware, options)
            added = 16 if tokens is None else whole("tokens", tokens)
            return of_model(self, executor, tally, text, added, check)
        if tokens is not None:
            raise ValueError("tokens must be left out: only a whole model adds some")
        if inputs is not None and prompt is not None:
            raise ValueError("inputs and a prompt exclude each other: leave one out")
        regions = self._of_prompt(prompt) if inputs is None else self._given(inputs)
        executor = open_device(device, self.hardware, options)
        return of_layers(self, executor, tally, regions, check)

    def _of_prompt(self, prompt: Prompt | None) -> dict[str, NDArray[np.int32]]:
        text = default_prompt(self.model.name) if prompt is None else prompt
        ready, ids = self.model.prepared(self.recipe), self.model.tokens(text)
        sites = [region.removesuffix(_INPUT) for region in self.files.inputs]
        found = prompt_vectors(ready.checkpoint, ready.linear, sites, ids, self.files.tokens)
        return {f"{site}{_INPUT}": vectors for site, vectors in found.items()}

    def _given(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int32]]:
        shapes, regions = self.inputs, dict[str, NDArray[np.int32]]()
        if wrong := sorted(inputs.keys() ^ shapes.keys()):
            raise ValueError(
                f"inputs must be {', '.join(shapes)}: {wrong[0]} is missing or unknown"
            )
        for site, x in inputs.items():
            found = vectors(f"input {site}", x)
            if tuple(found.shape) != shapes[site]:
                shape = tuple(found.shape)
                raise ValueError(f"input {site} must be of shape {shapes[site]}, not {shape}")
            regions[f"{site}{_INPUT}"] = to_fixed(found).numpy()
        return regions


def compiled(
    model: "Model",
    layers: Sequence[str],
    *,
    hardware: str | Hardware,
    recipe: Recipe,
    coding: str,
    tokens: int | None,
    rows: str | None,
    context: int | None,
    directory: str | Path | None,
) -> Program:
    """Compile; see `spikeloom.Model.compile`."""
    params, whole = chosen_hardware(hardware), list(layers) == [ALL_LAYERS]
    for name, value in {"tokens": tokens, "rows": rows}.items():
        if whole and value is not None:
            raise ValueError(f"{name} must be left out: a whole model does not have it")
    if not whole and context is not None:
        raise ValueError(f"context must be left out: {', '.join(layers)} does not have it")
    temporary = None if directory is not None else TemporaryDirectory(prefix="spikeloom-")
    place = Path(directory or f"{temporary.name}/{model.name}" if temporary else str(directory))
    if whole:
        files = build_model(
            model.checkpoint, place, params=params, recipe=recipe, coding=coding, context=context
        )
    else:
        files = build(
            model.checkpoint,
            list(layers),
            place,
            params=params,
            recipe=recipe,
            coding=coding,
            tokens=tokens,
            rows=rows,
        )
    return Program(model, files, recipe, temporary)


def opened(model: "Model", directory: str | Path) -> Program:
    """Read a compiled directory; see `spikeloom.Model.open`."""
    files = load(directory)
    if files.is_shard:
        raise ValueError(f"{directory} is one device's share of a model: open one for one device")
    require_weights(files, model.checkpoint)
    return Program(model, files, recipe_of(files))
