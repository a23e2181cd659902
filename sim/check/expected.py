"""What a compiled program must give: outputs, what lies before them, and counters, by golden."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from compiler.artifact.program import Compiled
from golden.model.spiking import SpikingLinear
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.costs import MatrixCost, matrix_cost
from hw.contract.params import HwParams

__all__ = ["Expected", "MatrixCycles", "SiteValues", "expect"]


@dataclass(frozen=True, kw_only=True)
class SiteValues:
    """What encoding gives at one site.

    Attributes
    ----------
    thresholds : ndarray of int64
        V of each token, (tokens,).
    counts : ndarray of int16
        Spike counts times the weights of their spikes, (tokens, channels).
    max_shift : int
        A spike weighs up to 2^max_shift.
    """

    thresholds: np.ndarray
    counts: np.ndarray
    max_shift: int = 0


@dataclass(frozen=True, kw_only=True)
class MatrixCycles:
    """What one matrix takes the array, and memory.

    Attributes
    ----------
    array_cycles : int
        Steps of the array, one a cycle.
    weight_cycles : int
        Words of the row segments that are fetched, one a cycle.
    """

    array_cycles: int
    weight_cycles: int

    @property
    def addition_cost_cycles(self) -> int:
        """Cycles that additions cost beyond those that the weights take to arrive."""
        return max(0, self.array_cycles - self.weight_cycles)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What golden says of a compiled program and its inputs.

    Attributes
    ----------
    sites : dict of str to SiteValues
        By site.
    accumulators : dict of str to ndarray
        By matrix, Y, (tokens, outputs) in int64.
    outputs : dict of str to ndarray
        By output region, (tokens, outputs) in int32 (Q15.16).
    counters : dict of str to int
        Those of `hw.contract.regs.COUNTERS` that follow from the arithmetic, over the whole
        program.
    dense_weight_bytes : int
        What `weight_bytes_read` would be if no channel were silent.
    cycles : dict of str to MatrixCycles
        By matrix, over all rounds of the tokens.
    """

    sites: dict[str, SiteValues]
    accumulators: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    counters: dict[str, int]
    dense_weight_bytes: int
    cycles: dict[str, MatrixCycles]


def expect(linear: SpikingLinear, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Expected:
    """Compute a compiled program's results by the golden model.

    Parameters
    ----------
    linear : SpikingLinear
        The golden model's matrices, of the checkpoint and the recipe that were compiled.
    compiled : Compiled
        The program; its list of operations is used, nothing of its contents.
    inputs : mapping of str to ndarray
        By input region, (tokens, channels) in int32 (Q15.16).
    """
    sites, accumulators, outputs, cycles = {}, {}, {}, {}
    costs = []
    x = torch.zeros(0)  # until the first ENCODE
    params, coding = compiled.params, compiled.manifest["coding"]
    for step in compiled.manifest["operations"]:
        if step["operation"] == "ENCODE":
            x = torch.from_numpy(inputs[step["input"]])
            continue
        first = step["first_row"]
        matrix = linear.matrix(step["matrix"]).rows(first, first + step["outputs"])
        encoded = matrix.encode(x)
        y = matrix.accumulate(encoded)
        sites[step["site"]] = SiteValues(
            thresholds=encoded.v.numpy(),
            counts=encoded.spikes.numpy(),
            max_shift=encoded.max_shift,
        )
        accumulators[step["matrix"]] = y.numpy()
        outputs[step["output"]] = matrix.requantize(y, encoded).numpy()
        time_steps = time_steps_for(matrix.site.max_count, coding, encoded.max_shift)
        beats = sum(params.row_beats(n, matrix.weight.bits) for n in params.tiles(step["outputs"]))
        array_cycles = weight_cycles = 0
        for counts in encoded.spikes.split(params.tokens):
            cost = matrix_cost(
                counts,
                step["outputs"],
                coding,
                time_steps,
                weight_width=matrix.weight.bits,
                tile_outputs=params.tile_outputs,
                lanes=params.lanes,
                word_bytes=params.axi_bytes,
                groups=getattr(matrix.weight, "groups", None),
            )
            costs.append(_as_built(cost, counts, step["outputs"], params))
            array_cycles += beats * _steps(counts, coding, time_steps, params)
            weight_cycles += costs[-1].weight_bytes // params.axi_bytes
        cycles[step["matrix"]] = MatrixCycles(
            array_cycles=array_cycles, weight_cycles=weight_cycles
        )
    return Expected(
        sites=sites,
        accumulators=accumulators,
        outputs=outputs,
        counters={
            "events": sum(cost.events for cost in costs),
            "silent_channels": sum(cost.silent_channels for cost in costs),
            "synaptic_operations": sum(cost.synaptic_operations for cost in costs),
            "weight_bytes_read": sum(cost.weight_bytes for cost in costs),
            "array_cycles": sum(matrix.array_cycles for matrix in cycles.values()),
        },
        dense_weight_bytes=sum(cost.dense_weight_bytes for cost in costs),
        cycles=cycles,
    )


def _steps(counts: torch.Tensor, coding: str, time_steps: int, params: HwParams) -> int:
    """Return the steps of a beat that any token fires in, summed over the channels fetched."""
    if params.array == "mac":
        steps = counts.any(dim=0).int()  # one product
    else:
        steps = (encode(counts, coding, time_steps) != 0).any(dim=1).sum(dim=0)  # (channels,)
    if not params.skip_silent:
        steps = steps.clamp(min=1)  # a silent channel takes a step in which nothing fires
    return int(steps.sum())


def _as_built(cost: MatrixCost, counts: torch.Tensor, outputs: int, params: HwParams) -> MatrixCost:
    """Return what hardware counts that multiplies, or that fetches silent channels too."""
    if params.array == "mac":
        cost = replace(cost, synaptic_operations=outputs * int(torch.count_nonzero(counts)))
    if not params.skip_silent:
        cost = replace(
            cost,
            silent_channels=0,
            events=cost.events + cost.silent_channels,
            weight_bytes=cost.dense_weight_bytes,
        )
    return cost
