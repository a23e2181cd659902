"""How close decode comes to the time that its bytes take to arrive."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.workload import Program, Workload, run_checked
from hw.contract.presets import preset
from sim.device import Timing
from sim.rtl.builds import build_bench
from sim.rtl.device import RtlResult

__all__ = ["ALL", "KINDS", "measure"]

KINDS = ("q", "k", "v", "o", "gate", "up", "down", "attn", "mlp")
"""Matrices by themselves, and the two groups of a layer, whose matrices overlap."""

ALL = "all"
"""Name of the program that holds every layer and the head."""


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One program to run: its name, layers, rows (see `Workload.program`), and its activations."""

    name: str
    layers: list[str]
    rows: str | None = None
    dense: bool = False


def _plans(workload: Workload, head_rows: int) -> list[_Plan]:
    numbers = sorted({0, workload.layers // 2, workload.layers - 1})
    of_layer = {
        n: [_Plan(name=f"{kind}{n}", layers=[f"{kind}{n}"]) for kind in KINDS] for n in numbers
    }
    head = _Plan(name="lm_head", layers=["lm_head"], rows=str(head_rows))
    prompt = [plan for n in numbers for plan in of_layer[n]]
    return [
        *prompt,
        head,
        _Plan(name=ALL, layers=workload.every_layer()),
        *(replace(plan, dense=True) for plan in (*of_layer[0], head)),
    ]


def measure(
    *,
    model: str = "smollm2-135m",
    preset_name: str = "edge",
    head_rows: int = 4096,
    latency: int = 60,
    seed: int = 0,
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Run each kind of layer for one token of a prompt, and again with no channel silent.

    The layers are the first, the middle and the last one; dense, the first one.

    Parameters
    ----------
    model, preset_name : str
        What runs on what.
    head_rows : int
        Output channels of the head that are run by themselves, where it has so many.
    latency : int
        Of the memory, in cycles.
    seed : int
        Of the dense vectors.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` each run's counters, with the cycles that its bytes need.

    Raises
    ------
    RuntimeError
        Where a run is not bit-exact, or a counter is not golden's.
    """
    params = preset(preset_name)
    say("golden model: activations of the prompt")
    workload = Workload(model, tokens=1)
    head_rows = min(head_rows, workload.vocabulary)
    rng = np.random.default_rng(seed)
    say("building the simulator")
    build = build_bench(params)
    plans = _plans(workload, head_rows)
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        say("compiling")
        programs = [
            workload.program(
                plan.layers,
                Path(scratch) / str(number),
                params=params,
                rows=plan.rows,
                dense=rng if plan.dense else None,
            )
            for number, plan in enumerate(plans)
        ]
        say(f"running {len(programs)} programs")
        results = run_checked(build, programs, timing=Timing(latency=latency))
    rows = [
        {
            "name": plan.name,
            "activations": "dense" if plan.dense else "prompt",
            **_row(program, result),
        }
        for plan, program, result in zip(plans, programs, results, strict=True)
    ]
    return {
        "model": workload.model,
        "preset": preset_name,
        "recipe": Workload.RECIPE,
        "coding": Workload.CODING,
        "prompt": workload.prompt,
        "head_rows": head_rows,
        "latency": latency,
        "seed": seed,
        "params": params.as_dict(),
        "rows": rows,
    }


def _row(program: Program, result: RtlResult) -> dict[str, object]:
    """Return a run's counters, with the cycles that memory needs for what it read, and would need.

    Memory delivers a word a cycle, whatever the word holds: weights, channel words, vectors, the
    program. Dense, all weights are read.
    """
    word_bytes = program.compiled.params.axi_bytes
    counters = result.counters
    touched = counters["dram_bytes_read"] // word_bytes
    silent_bytes = program.expected.dense_weight_bytes - counters["weight_bytes_read"]
    dense = touched + silent_bytes // word_bytes
    return {
        "touched_cycles": touched,
        "dense_cycles": dense,
        "cycles_to_touched": counters["cycles"] / touched,
        "cycles_to_dense": counters["cycles"] / dense,
        "dense_weight_bytes": program.expected.dense_weight_bytes,
        **counters,
    }
