"""What the tests of the RTL share: programs with what golden says of them, run and compared."""

from dataclasses import dataclass

import numpy as np
import torch

from compiler.passes.quantize import Weights
from golden.model.spiking import SpikingMatrix
from golden.numerics.weights import QuantizedWeight
from sim.check.activations import random_vectors
from sim.check.expected import expect
from sim.check.verdict import judge
from sim.device import Timing
from sim.functional.device import Functional
from sim.rtl.device import Run

CODINGS = ("unary", "bitwise", "csd")


@dataclass(frozen=True)
class Trial:
    """A run, under a name for messages, with golden's matrices."""

    name: str
    linear: object
    run: Run


def random_inputs(rng, compiled, linear):
    """Return random vectors for every input region, made for its site."""
    inputs = {}
    for step in compiled.manifest["operations"]:
        if step["operation"] == "MATMUL":
            name, shape = f"{step['site']}.input", (compiled.tokens, step["channels"])
            if name not in inputs:
                site = linear.matrix(step["matrix"]).site
                inputs[name] = random_vectors(rng, *shape, site)
    return inputs


def timings(rng) -> list[Timing]:
    """Return a quick memory, a slow one, and three that stall at random, one of its own order."""
    seeds = [int(seed) for seed in rng.integers(1 << 32, size=3)]
    return [
        Timing(latency=1),
        Timing(latency=200),
        Timing(latency=20, stalls=0.3, seed=seeds[0]),
        Timing(latency=3, stalls=0.7, seed=seeds[1]),
        Timing(latency=20, stalls=0.3, seed=seeds[2], data_first=True),
    ]


def failures_of(trial, result) -> list[str]:
    """Return what does not hold of a result."""
    run = trial.run
    expected = expect(trial.linear, run.compiled, run.inputs)
    functional = Functional().run(run.compiled, run.inputs)
    verdict = judge(run.compiled, expected, functional, result, "rtl")
    return [f"{trial.name}, {run.timing}: {sentence}" for sentence in verdict.failures]


def verify(rtl, trials) -> list:
    """Run trials in one process, fail with all that does not hold, return the results."""
    assert trials
    results = rtl.run_all([trial.run for trial in trials])
    pairs = zip(trials, results, strict=True)
    failures = [sentence for trial, result in pairs for sentence in failures_of(trial, result)]
    assert not failures, "\n".join(failures)
    return results


class OneMatrix:
    """Golden's view of a program of one matrix with given weights: has `matrix`, as a model has."""

    def __init__(self, site, weights: Weights, bits: int) -> None:
        codes, (mantissa, exponent, bias) = weights.codes, weights.scales()
        self._matrix = SpikingMatrix(
            name="w",
            site=site,
            dead_quantile=0.0,
            weight=QuantizedWeight(
                torch.from_numpy(codes),
                torch.from_numpy(np.asarray(mantissa, np.int32)),
                torch.from_numpy(np.asarray(exponent, np.int32)),
                bits,
            ),
            bias=None if bias is None else torch.from_numpy(np.asarray(bias, np.int32)),
        )

    def matrix(self, name):
        """Return the matrix."""
        return self._matrix
