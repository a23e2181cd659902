"""Whole tokens on the RTL: how close they come to the time that their bytes take to arrive."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from compiler.artifact.program import Compiled
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.console.places import SOURCES
from golden.recipe.recipe import load_recipe, recipes_of
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.device import Registers, Result, Timing
from sim.functional.device import Functional
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl

__all__ = ["measure"]

_TEXT = ("README.md", "docs/architecture.md", "docs/numerics.md")  # what is read before the token
_AUDITED = ("events", "silent_channels", "synaptic_operations", "weight_bytes_read")


def measure(
    *,
    model: str = "smollm2-135m",
    preset_name: str = "edge",
    recipes: Sequence[str] | None = None,
    positions: Sequence[int] = (0, 128, 1023),
    latency: int = 60,
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Run the token at each of some positions of a text, head included, on the RTL.

    The functional device fills the cache up to there.

    Parameters
    ----------
    model, preset_name : str
        What runs on what.
    recipes : sequence of str, optional
        How the model becomes spike-driven; by default w8 and those calibrated for it.
    positions : sequence of int
        Positions, ascending.
    latency : int
        Of the memory, in cycles.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` each token's counters, with the cycles that its bytes need.

    Raises
    ------
    RuntimeError
        Where the RTL leaves other bytes in memory than the functional device, or counts others.
    """
    params = preset(preset_name)
    checkpoint = load(model)
    text = "\n".join((SOURCES / name).read_text() for name in _TEXT)
    ids = checkpoint.tokenizer.encode(text)[: positions[-1] + 1]
    say("building the simulator")
    build_bench(params)
    rows = []
    for recipe in recipes or ("w8", *recipes_of(model)):
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
            say(f"compiling {recipe}")
            compiled = build_model(
                checkpoint,
                Path(scratch) / "compiled",
                params=params,
                recipe=load_recipe(recipe),
                context=positions[-1] + 2,
            )
            memory = compiled.image({})
        compiled.token_words(memory)[: len(ids)] = ids
        at = 0
        for position in positions:
            say(f"{recipe}: functional device up to position {position}")
            if position > at:
                _run(Functional(), compiled, memory, Registers(
                    first_position=at, prompt_end=len(ids), end_position=position
                ))  # fmt: skip
            at = position
            say(f"{recipe}: RTL at position {position}")
            row = _token(compiled, memory, position, latency)
            rows.append({"recipe": recipe, "position": position, **row})
    return {
        "model": model,
        "preset": preset_name,
        "coding": "csd",
        "latency": latency,
        "params": params.as_dict(),
        "rows": rows,
    }


def _token(compiled: Compiled, memory: np.ndarray, position: int, latency: int) -> dict:
    """Run one token, with the next one found, on both devices; `memory` stays as it is."""
    registers = Registers(
        first_position=position, prompt_end=position + 1, end_position=position + 1
    )
    expected, got = memory.copy(), memory.copy()
    functional = _run(Functional(), compiled, expected, registers)
    begin = time.perf_counter()
    finished = _run(Rtl(timing=Timing(latency=latency)), compiled, got, registers)
    seconds = time.perf_counter() - begin
    differing = np.flatnonzero(expected != got)
    if differing.size:
        raise RuntimeError(f"the RTL's memory differs at {compiled.place_of(int(differing[0]))}")
    counters = finished.counters
    for name in _AUDITED:
        if counters[name] != functional.counters[name]:
            raise RuntimeError(
                f"the RTL counts {counters[name]} {name} at position {position}, the functional "
                f"device {functional.counters[name]}"
            )
    word_bytes = compiled.params.axi_bytes
    touched = counters["dram_bytes_read"] // word_bytes
    return {
        "touched_cycles": touched,
        "weight_cycles": counters["weight_bytes_read"] // word_bytes,
        "cycles_to_touched": counters["cycles"] / touched,
        "rtl_seconds": round(seconds, 1),
        **counters,
    }


def _run(device, compiled: Compiled, memory: np.ndarray, registers: Registers) -> Result:
    finished = device.execute(
        memory, compiled.program_address, compiled.params, registers, lambda *_: None
    )
    if finished.error is not Error.NONE:
        raise RuntimeError(f"the {device.name} device ended with {finished.error.name}")
    return finished
