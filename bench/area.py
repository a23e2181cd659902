"""What the spike array and the MAC array cost in cells of two FPGA families, by Yosys."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth import Signal, Value
from amaranth.back import rtlil
from amaranth.lib import wiring

from bench.lanes import Lanes
from hw.contract.params import HwParams
from hw.contract.presets import preset
from hw.generate import yosys
from hw.generate.emit import TOP, to_rtlil
from hw.matmul.array import PEArray

__all__ = [
    "FAMILIES",
    "MULTIPLIER",
    "measure",
    "synthesize_accelerator",
    "synthesize_block",
    "tally",
]

MULTIPLIER = Path(__file__).with_name("multiplier.v")
"""For Yosys' techmap: what multiplies where DSPs are not to be used."""

FAMILIES = {
    "ecp5": "synth_ecp5",
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad",
}
"""Yosys' command for each FPGA family."""

# (what a cell is, pattern of its name, how many of that it is). An ECP5 carry cell takes the place
# of two LUTs, a Xilinx one of none; an ECP5 LUT RAM keeps two more LUTs for its write port.
_CELLS = (
    ("luts", r"LUT\d|SRL16E|SRLC32E", 1),
    ("luts", "CCU2C", 2),
    ("flip_flops", "TRELLIS_FF|FD[RSCP]E", 1),
    ("dsps", "MULT18X18D|DSP48E1", 1),
    ("block_rams", "DP16KD|RAMB18E1", 1),
    ("block_rams", "RAMB36E1", 2),
    ("ram_luts", "TRELLIS_DPR16X4", 6),
    ("ram_luts", "RAM64M|RAM32M|RAM128X1D", 4),
    ("ram_luts", "RAM64X1D|RAM32X1D", 2),
    (None, r"PFUMX|L6MUX21|MUXF[78]|CARRY4|INV|BUFG|\$scopeinfo", 0),
)

_BLOCK = "block"  # name of a circuit that is not a whole accelerator
_BARE = {"W8/A20": (8, 20), "W4/A16": (4, 16)}  # the yardsticks of the field's table


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One synthesis: what the row of the report says of it, and the circuit."""

    about: dict[str, object]
    family: str
    dsps: bool
    lanes: int
    circuit: Callable[[], str]
    top: str = _BLOCK


def measure(
    *,
    bare_lanes: int = 16,
    array_preset: str = "edge",
    array_lanes: int = 16,
    tops: tuple[str, ...] = ("test", "edge"),
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Synthesize bare lanes, the array with its accumulators, and whole accelerators.

    Parameters
    ----------
    bare_lanes : int
        Lanes without anything around them.
    array_preset, array_lanes
        The array is this preset's, with so many lanes: it is the same for all of them.
    tops : tuple of str
        Presets of the whole accelerators.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` the cells of each synthesis.
    """
    base = replace(preset(array_preset), lanes=array_lanes)
    tasks = [*_bare_tasks(bare_lanes), *_array_tasks(base), *_top_tasks(tops)]
    done = []
    failed = []

    def run(task: _Task) -> dict[str, object] | None:
        row = None
        try:
            row = _synthesize(task)
        except yosys.YosysError:
            if task.about["block"] != "accelerator":
                raise
            failed.append({**task.about, "family": task.family})  # an error of Yosys itself
        done.append(task)
        say(f"synthesized {len(done)} of {len(tasks)}")
        return row

    say(f"synthesizing {len(tasks)} circuits")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each is a process of its own
        rows = list(pool.map(run, reversed(tasks)))  # the longest ones first
    return {
        "array_preset": array_preset,
        "array_params": base.as_dict(),
        "commands": FAMILIES,
        "rows": [row for row in rows[::-1] if row],
        "failed": failed,
    }


def synthesize_accelerator(params: HwParams, family: str) -> dict[str, object]:
    """Return the cells of one whole accelerator, as rows of `measure`."""
    return _synthesize(_top_task(params, family, {}))


def synthesize_block(block: wiring.Component, family: str) -> dict[str, int]:
    """Return the cells of a block alone, as `tally` names them."""
    about = {"block": type(block).__name__}
    row = _synthesize(
        _Task(about=about, family=family, dsps=True, lanes=0, circuit=lambda: _circuit(block))
    )
    return {cell: row[cell] for cell in dict.fromkeys(what for what, _, _ in _CELLS if what)}


def _variants(array: str) -> Iterable[tuple[str, bool]]:
    """Return the families, and whether multipliers may be DSPs, that make a difference."""
    for family in FAMILIES:
        for dsps in (True, False) if array == "mac" else (True,):
            yield family, dsps


def _bare_tasks(lanes: int) -> Iterable[_Task]:
    for kind in ("adder", "spike", "mac"):
        for name, (weight_width, acc_width) in _BARE.items():
            for family, dsps in _variants(kind):
                yield _Task(
                    about={"block": "lane", "array": kind, "widths": name},
                    family=family,
                    dsps=dsps,
                    lanes=lanes,
                    circuit=lambda shape=(kind, weight_width, acc_width): _circuit(
                        Lanes(*shape, lanes)
                    ),
                )


def _array_tasks(base: HwParams) -> Iterable[_Task]:
    for array in ("spike", "mac"):
        for widths in ((8, 4, 2), (4, 2)):
            for tokens in sorted({1, base.tokens}):
                params = replace(base, array=array, weight_widths=widths, tokens=tokens)
                name = f"W{max(widths)}/A{params.acc_width}"
                for family, dsps in _variants(array):
                    yield _Task(
                        about={
                            "block": "array",
                            "array": array,
                            "widths": name,
                            "tokens": tokens,
                        },
                        family=family,
                        dsps=dsps,
                        lanes=params.tokens * params.lanes,
                        circuit=lambda params=params: _circuit(PEArray(params)),
                    )


def _top_tasks(names: tuple[str, ...]) -> Iterable[_Task]:
    for name in names:
        for array in ("spike", "mac"):
            params = replace(preset(name), array=array)
            for family in FAMILIES:
                yield _top_task(params, family, {"preset": name})


def _top_task(params: HwParams, family: str, about: dict[str, object]) -> _Task:
    return _Task(
        about={"block": "accelerator", "array": params.array, **about},
        family=family,
        dsps=True,
        lanes=params.tokens * params.lanes,
        circuit=lambda: to_rtlil(params),
        top=TOP,
    )


def _circuit(component: wiring.Component) -> str:
    """Return a component as RTLIL; ports that are constant are none."""
    ports = [Value.cast(port) for _, _, port in component.signature.flatten(component)]
    ports = [port for port in ports if isinstance(port, Signal)]
    return rtlil.convert(component, name=_BLOCK, ports=ports, emit_src=False)


def _synthesize(task: _Task) -> dict[str, object]:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        directory = Path(scratch)
        (directory / "block.il").write_text(task.circuit())
        read = ["read_rtlil block.il", *yosys.DONT_CARE]
        if not task.dsps:
            read.append(f"techmap -map {MULTIPLIER}")
        count = "tee -o stat.json stat -json"
        if task.family == "ecp5":
            yosys.synthesize_ecp5(read, task.top, count, directory)
        else:
            yosys.run([*read, f"{FAMILIES[task.family]} -top {task.top}", count], directory)
        cells = json.loads((directory / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {
        **task.about,
        "family": task.family,
        "dsps_allowed": task.dsps,
        "lanes": task.lanes,
        **tally(cells),
        "cells": cells,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def tally(cells: dict[str, int]) -> dict[str, int]:
    """Return cells by what they are; raises RuntimeError at one of which that is not known."""
    tally = {what: 0 for what, _, _ in _CELLS if what}
    for cell, count in cells.items():
        known = (entry for entry in _CELLS if re.fullmatch(entry[1], cell))
        found = next(known, None)
        if found is None:
            raise RuntimeError(f"Yosys used a cell that bench.area cannot count: {cell}")
        what, _, weight = found
        if what:
            tally[what] += count * weight
    return tally
