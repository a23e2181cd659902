"""The spike array against its opponent: the same accelerator with a MAC array."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.workload import Workload, run_checked
from hw.contract.presets import preset
from sim.device import Timing
from sim.rtl.builds import build_bench
from sim.rtl.device import RtlResult

__all__ = ["HARDWARE", "measure"]

HARDWARE = {
    "spike": {"array": "spike", "skip_silent": True},
    "mac": {"array": "mac", "skip_silent": True},
    "spike, all fetched": {"array": "spike", "skip_silent": False},
    "mac, all fetched": {"array": "mac", "skip_silent": False},
}
"""The accelerators compared: what differs from the preset."""

_RECIPES = {8: "w8", 4: "w4", 2: "w2"}


def measure(
    *,
    model: str = "smollm2-135m",
    preset_name: str = "edge",
    layers: tuple[str, ...] = ("gate15", "down15"),
    hardware: tuple[str, ...] = tuple(HARDWARE),
    latency: int = 60,
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Run the same programs on each accelerator, for 1 token and for as many as share a weight.

    All weight widths get the same spikes (see `Workload`), so that the array alone differs.

    Parameters
    ----------
    model, preset_name : str
        What runs on what.
    layers : tuple of str
        As the compiler takes them, each a program of its own.
    hardware : tuple of str
        Of `HARDWARE`.
    latency : int
        Of the memory, in cycles.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` the counters of each program on each accelerator.

    Raises
    ------
    RuntimeError
        Where a run is not bit-exact, a counter is not golden's, or two accelerators differ.
    """
    base = preset(preset_name)
    say("golden model: activations of the prompt")
    workload = Workload(model, tokens=base.tokens)
    plans = [
        (layer, width, tokens)
        for layer in layers
        for width in base.weight_widths
        for tokens in sorted({1, base.tokens})
    ]
    rows, bits = [], {}
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        for name in hardware:
            params = replace(base, **HARDWARE[name])
            say(f"building the simulator: {name}")
            build = build_bench(params)
            say(f"running: {name}")
            programs = [
                workload.program(
                    [layer],
                    Path(scratch) / f"{name}{layer}{width}{tokens}",
                    params=params,
                    recipe=_RECIPES[width],
                    tokens=tokens,
                )
                for layer, width, tokens in plans
            ]
            results = run_checked(build, programs, timing=Timing(latency=latency))
            for plan, result in zip(plans, results, strict=True):
                if bits.setdefault(plan, _bits(result)) != _bits(result):
                    raise RuntimeError(f"{plan}: {name} gives other bits than {hardware[0]}")
                of_plan = dict(zip(("layer", "weight_width", "tokens"), plan, strict=True))
                rows.append({**of_plan, "hardware": name, **result.counters})
    return {
        "model": workload.model,
        "preset": preset_name,
        "coding": Workload.CODING,
        "prompt": workload.prompt,
        "latency": latency,
        "params": base.as_dict(),
        "rows": rows,
    }


def _bits(result: RtlResult) -> dict[str, bytes]:
    return {name: outputs.tobytes() for name, outputs in result.outputs.items()}
