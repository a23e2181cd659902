"""What a compiled program must give: outputs, what lies before them, and counters, by golden."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from compiler.program import Compiled
from golden.counts import MatrixCost, matrix_cost
from golden.encoding import time_steps_for
from golden.spiking import SpikingLinear
from hw.params import HwParams

__all__ = ["Expected", "SiteValues", "expect"]


@dataclass(frozen=True, kw_only=True)
class SiteValues:
    """What encoding gives at one site.

    Attributes
    ----------
    thresholds : ndarray of int64
        V of each token, (tokens,).
    counts : ndarray of int8
        Spike counts, (tokens, channels).
    """

    thresholds: np.ndarray
    counts: np.ndarray


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
        Those of `hw.regs.COUNTERS` that follow from the arithmetic, over the whole program.
    dense_weight_bytes : int
        What `weight_bytes_read` would be if no channel were silent.
    """

    sites: dict[str, SiteValues]
    accumulators: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    counters: dict[str, int]
    dense_weight_bytes: int


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
    sites, accumulators, outputs = {}, {}, {}
    costs = []
    params = compiled.params
    for step in compiled.manifest["operations"]:
        if step["operation"] == "ENCODE":
            x = torch.from_numpy(inputs[step["input"]])
            continue
        first = step["first_row"]
        matrix = linear.matrix(step["matrix"]).rows(first, first + step["outputs"])
        encoded = matrix.encode(x)
        y = matrix.accumulate(encoded)
        sites[step["site"]] = SiteValues(
            thresholds=encoded.v.numpy(), counts=encoded.counts.numpy()
        )
        accumulators[step["matrix"]] = y.numpy()
        outputs[step["output"]] = matrix.requantize(y, encoded).numpy()
        for counts in encoded.counts.split(params.tokens):
            cost = matrix_cost(
                counts,
                step["outputs"],
                compiled.manifest["coding"],
                time_steps_for(matrix.site.max_count, compiled.manifest["coding"]),
                weight_width=matrix.weight.bits,
                tile_outputs=params.tile_outputs,
                lanes=params.lanes,
                word_bytes=params.axi_bytes,
            )
            costs.append(_as_built(cost, counts, step["outputs"], params))
    return Expected(
        sites=sites,
        accumulators=accumulators,
        outputs=outputs,
        counters={
            "events": sum(cost.events for cost in costs),
            "silent_channels": sum(cost.silent_channels for cost in costs),
            "synaptic_operations": sum(cost.synaptic_operations for cost in costs),
            "weight_bytes_read": sum(cost.weight_bytes for cost in costs),
        },
        dense_weight_bytes=sum(cost.dense_weight_bytes for cost in costs),
    )


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
