"""A DDR3 behind LiteDRAM's controller against the ideal memory: cycles of layers, bytes a cycle."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.workload import Workload
from compiler.pages.markdown import table
from hw.contract.params import HwParams
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Timing

__all__ = ["HARDWARE", "dram_table", "measure"]

HARDWARE = replace(
    preset("edge"),
    tokens=1,
    lanes=32,
    banks=32,
    fetch_depth=256,
    event_depth=128,
    axi_data_width=64,
)
"""What an ECP5-85F holds beside the controller: its bus takes as much a cycle as the DRAM gives."""
_NEED = "ideal, latency 1"  # a word in every cycle: what the bytes themselves need
_LAYERS = (("attn15", "mlp15"),)
_MEMORIES = {
    _NEED: Timing(latency=1),
    "ideal, latency 60": Timing(),
    "litedram-ddr3": Timing(memory="litedram-ddr3"),
}


def measure(
    *,
    model: str = "smollm2-135m",
    params: HwParams = HARDWARE,
    layers: tuple[tuple[str, ...], ...] = _LAYERS,
    recipes: tuple[str, ...] = ("w8", "w4"),
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Run layers on the cycle device with each memory, with a prompt's activations and all firing.

    Parameters
    ----------
    model : str
        Whose layers.
    params : HwParams
        The hardware.
    layers : tuple of tuple of str
        As the compiler takes them, each a program.
    recipes : tuple of str
        By name.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` the counters of each program with each memory.

    Raises
    ------
    ToolError
        Where LiteDRAM or a tool is missing.
    """
    say("golden model: activations of the prompt")
    workload = Workload(model, tokens=1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        for which in layers:
            for recipe in recipes:
                program = workload.program(
                    list(which), Path(scratch) / f"{which}-{recipe}", params=params, recipe=recipe
                )
                for name, timing in _MEMORIES.items():
                    say(f"{', '.join(which)}, {recipe}, {name}")
                    found = Cycle(timing=timing).run(program.compiled, program.inputs)
                    counters = {key: int(value or 0) for key, value in found.counters.items()}
                    moved = counters["dram_bytes_read"] + counters["dram_bytes_written"]
                    rows.append(
                        {
                            "layers": ", ".join(which),
                            "recipe": recipe,
                            "memory": name,
                            "bytes": moved,
                            "bytes_per_cycle": round(moved / counters["cycles"], 4),
                            **counters,
                        }
                    )
    return {
        "model": workload.model,
        "prompt": workload.prompt,
        "params": params.as_dict(),
        "rows": rows,
    }


def dram_table(report: dict[str, Any]) -> str:
    """Return a report as Markdown."""
    rows = report["rows"]
    need = {(r["layers"], r["recipe"]): r["cycles"] for r in rows if r["memory"] == _NEED}
    params = report["params"]
    head = (
        f'{report["model"]}, one token (the last of "{report["prompt"]}"), tokens '
        f"{params['tokens']}, lanes {params['lanes']}, banks {params['banks']}, a bus of "
        f"{params['axi_data_width']} bits:"
    )
    found = table(
        ("layers", "recipe", "memory", "cycles", "of the first", "bytes", "bytes a cycle"),
        [
            (
                row["layers"],
                row["recipe"],
                row["memory"],
                f"{row['cycles']:,}",
                f"{row['cycles'] / need[row['layers'], row['recipe']]:.3f}",
                f"{row['bytes']:,}",
                f"{row['bytes_per_cycle']:.2f}",
            )
            for row in rows
        ],
    )
    return f"{head}\n\n{found}"
