"""What the benches run: programs of a trained model, its vectors, and runs held against golden."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from compiler.artifact.manifest import about
from compiler.artifact.program import Compiled
from compiler.passes.lower import lower
from compiler.passes.quantize import quantized
from compiler.programs.layers import build_stages
from golden.checkpoint import checkpoint as checkpoints
from golden.model.prepare import grids
from golden.model.spiking import SpikingLinear
from golden.recipe.recipe import load_recipe
from hw.contract.params import HwParams
from sim.check.activations import default_prompt, prompt_vectors
from sim.check.expected import Expected, expect
from sim.check.verdict import judge
from sim.device import Timing
from sim.functional.device import Functional
from sim.rtl.device import Rtl, RtlResult, Run
from sim.rtl.verilog import Build

__all__ = ["Program", "Workload", "run_checked"]

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled program, vectors for it, and what golden says it must give.

    Attributes
    ----------
    compiled : Compiled
        The program.
    inputs : mapping of str to ndarray
        By input region, (tokens, channels) in int32 (Q15.16).
    expected : Expected
        Golden's results.
    """

    compiled: Compiled
    inputs: Inputs
    expected: Expected


class Workload:
    """A trained model, and the vectors of a prompt in some of its layers.

    The vectors are those of the recipe `w8` whatever a program's own recipe: programs that differ
    in the bits of their weights get the same spikes, and can be compared.

    Parameters
    ----------
    model : str
        A known model or a checkpoint's path.
    tokens : int
        Last tokens of the prompt that are kept.
    """

    RECIPE = "w8"
    CODING = "csd"

    def __init__(self, model: str, *, tokens: int) -> None:
        self._checkpoint = checkpoints.load(model)
        self._linear = cache(self._linear_of)
        self._quantized = cache(lambda matrix: quantized(self._checkpoint, matrix))
        self.prompt = default_prompt(self.model)
        stages = lower(self._checkpoint.config, self.every_layer(), load_recipe(self.RECIPE))
        sites = {stage.name for stage in stages}
        linear = self._linear(self.RECIPE)
        self._vectors = prompt_vectors(self._checkpoint, linear, sites, self.prompt, tokens)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._checkpoint.config.name

    @property
    def layers(self) -> int:
        """How many layers the model has."""
        return self._checkpoint.config.layers

    @property
    def vocabulary(self) -> int:
        """How many rows the head has."""
        return self._checkpoint.config.vocab_size

    def every_layer(self) -> list[str]:
        """Return the names of all that is linear, as the compiler takes them."""
        return [f"{kind}{n}" for n in range(self.layers) for kind in ("attn", "mlp")] + ["lm_head"]

    def _linear_of(self, recipe: str) -> SpikingLinear:
        checkpoint = self._checkpoint
        return SpikingLinear(
            checkpoint.config, checkpoint.tensor, load_recipe(recipe), grid=checkpoint.grid
        )

    def program(
        self,
        layers: list[str],
        directory: Path,
        *,
        params: HwParams,
        recipe: str = RECIPE,
        tokens: int = 1,
        rows: str | None = None,
        dense: np.random.Generator | None = None,
    ) -> Program:
        """Compile layers into one program, for the prompt's last tokens.

        Parameters
        ----------
        layers : list of str
            As the compiler takes them.
        directory : Path
            Where it is written.
        params : HwParams
            The hardware.
        recipe : str
            By name.
        tokens : int
            How many of the prompt's last tokens.
        rows : str, optional
            A slice of a single matrix's output channels.
        dense : Generator, optional
            Where given, no channel is silent: the vectors are random, with the prompt's peak, and
            every magnitude from one spike to all of them is equally likely.
        """
        chosen = load_recipe(recipe)
        found = grids(self._checkpoint, chosen)
        stages = lower(self._checkpoint.config, layers, chosen, rows, found)
        compiled = build_stages(
            stages,
            self._quantized,
            directory,
            params=params,
            coding=self.CODING,
            tokens=tokens,
            about=about(self._checkpoint.config, chosen, self.CODING, {"weights": "real"}, layers),
        )
        inputs = {}
        for stage in stages:
            vectors = self._vectors[stage.name][-tokens:]
            if dense is not None:
                vectors = _without_silence(dense, vectors, stage.site.max_count)
            inputs[f"{stage.name}.input"] = vectors
        expected = expect(self._linear(recipe), compiled, inputs)
        if dense is not None and expected.counters["silent_channels"]:
            raise RuntimeError(f"a channel of {layers} is silent though its vector is dense")
        return Program(compiled=compiled, inputs=inputs, expected=expected)


def _without_silence(rng: np.random.Generator, vectors: np.ndarray, max_count: int) -> np.ndarray:
    """Return random vectors of the same shape and peaks, whose channels all fire under absmax."""
    peak = np.abs(vectors.astype(np.int64)).max(axis=1, keepdims=True)  # (tokens, 1)
    counts = rng.integers(1, max_count + 1, vectors.shape)
    counts[:, 0] = max_count
    signs = rng.choice([-1, 1], vectors.shape)
    return (signs * -(-counts * peak // max_count)).clip(-(1 << 31), (1 << 31) - 1).astype(np.int32)


def run_checked(build: Build, programs: Iterable[Program], *, timing: Timing) -> list[RtlResult]:
    """Run programs on the RTL, and raise RuntimeError unless all bits and counters are golden's."""
    programs = list(programs)
    runs = [Run(compiled=p.compiled, inputs=p.inputs, timing=timing) for p in programs]
    results = Rtl(build).run_all(runs)
    for program, result in zip(programs, results, strict=True):
        functional = Functional().run(program.compiled, program.inputs)
        verdict = judge(program.compiled, program.expected, functional, result, "rtl")
        if verdict.failures:
            layers = ",".join(program.compiled.manifest["layers"])
            raise RuntimeError(f"{layers}: {'; '.join(verdict.failures)}")
    return results
