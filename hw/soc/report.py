"""What a build says of itself: timing, utilization, tools, checksum; as JSON and as text."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.soc.boards import Board

__all__ = ["begin", "bitstream", "meets_timing", "text", "timing", "write"]

_CELLS = {  # nextpnr's cell: what people call it
    "TRELLIS_COMB": "LUT4",
    "TRELLIS_FF": "flip-flops",
    "TRELLIS_RAMW": "RAM LUTs",
    "DP16KD": "block RAMs",
    "MULT18X18D": "DSPs",
    "EHXPLLL": "PLLs",
    "DQSBUFM": "DQS groups",
    "TRELLIS_IO": "pins",
}

_PIN = "$TRELLIS_IO_IN"
_SAME_CLOCK = 0.01  # a PLL need not hit a frequency to the last digit


def begin(
    *, board: Board, params: HwParams, origin: str, clock_mhz: float, baud: int
) -> dict[str, object]:
    """Return what was asked for."""
    return {
        "board": board.key,
        "part": board.hardware.part,
        "dram": board.dram,
        "hardware": origin,
        "params": params.as_dict(),
        "fingerprint": fingerprint(params),
        "clock_mhz": clock_mhz,
        "baud": baud,
    }


def timing(placed: dict[str, Any], clock_mhz: float) -> dict[str, object]:
    """Return clocks, cells and the slowest path out of nextpnr's own report.

    Parameters
    ----------
    placed : dict
        Of ``nextpnr-ecp5 --report``.
    clock_mhz : float
        Of the system, whose clock is called after any of its nets.

    Returns
    -------
    dict
        ``clocks``: for each, MHz achieved and asked for, slack in ns (negative: too slow).
        ``utilization``: for each kind of cell, those used and those that there are.
        ``worst_path``: of the clock with the least slack, ns and where it begins and ends.
    """
    clocks = {}
    for net, clock in placed["fmax"].items():
        achieved, wanted = clock["achieved"], clock["constraint"]
        clocks[_name(net, wanted, clock_mhz)] = {
            "achieved_mhz": round(achieved, 2),
            "constraint_mhz": round(wanted, 2),
            "slack_ns": round(1000 / wanted - 1000 / achieved, 2),
        }
    cells = {
        name: {
            "used": placed["utilization"][cell]["used"],
            "available": placed["utilization"][cell]["available"],
        }
        for cell, name in _CELLS.items()
        if cell in placed["utilization"]
    }
    return {"clocks": clocks, "utilization": cells, "worst_path": _worst(placed, clock_mhz)}


def meets_timing(result: dict[str, Any]) -> bool:
    """Return whether each clock is as fast as it was asked to be."""
    return all(clock["slack_ns"] >= 0 for clock in result.get("clocks", {}).values())


def bitstream(file: Path) -> dict[str, object]:
    """Return name, size and checksum of a bitstream."""
    content = file.read_bytes()
    return {
        "file": file.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def text(result: dict[str, Any]) -> str:
    """Return a report as people read it."""
    params = result["params"]
    shape = f"tokens {params['tokens']}, lanes {params['lanes']}, banks {params['banks']}"
    lines = [
        f"{result['board']} ({result['part']}, {result['dram']})",
        f"hardware     {result['hardware']}: {shape}, {params['axi_data_width']}-bit AXI",
        f"fingerprint  {result['fingerprint']}",
    ]
    if "clocks" in result:
        lines += ["", f"{'clock':28} {'asked':>9} {'achieved':>9} {'slack':>9}"]
        for name, clock in result["clocks"].items():
            asked, achieved = clock["constraint_mhz"], clock["achieved_mhz"]
            speeds = f"{asked:5.1f} MHz {achieved:5.1f} MHz {clock['slack_ns']:6.2f} ns"
            lines.append(f"{name[-28:]:28} {speeds}")
        path = result["worst_path"]
        if path:
            lines += [f"slowest: {path['ns']} ns", f"  from {path['from']}", f"  to   {path['to']}"]
        lines += ["", f"{'cells':12} {'used':>7} {'of':>7}"]
        for name, cells in result["utilization"].items():
            share = 100 * cells["used"] / cells["available"]
            lines.append(f"{name:12} {cells['used']:7} {cells['available']:7} {share:5.1f} %")
        lines += ["", f"seed {result['seed']}"]
    tools = result["tools"]
    spent = ", ".join(f"{name} {minutes}" for name, minutes in result["minutes"].items())
    lines += ["", f"minutes: {spent}"]
    lines += ["tools: " + ", ".join(f"{name} {version}" for name, version in tools.items())]
    if "bitstream" in result:
        about = result["bitstream"]
        lines += ["", f"{about['file']}: {about['bytes']} bytes, sha256 {about['sha256']}"]
        if not meets_timing(result):
            lines.append("It is too slow for its clock: do not load it; build it with --clock MHZ")
        lines += [f"load it: {result['load']}", f"talk to it: {result['talk']}"]
    return "\n".join(lines) + "\n"


def write(result: dict[str, Any], directory: Path) -> list[Path]:
    """Write ``report.json`` and ``report.txt``, each whole or not at all."""
    files = []
    with tempfile.TemporaryDirectory(dir=directory, prefix=".report-") as scratch:
        for name, content in (
            ("report.json", json.dumps(result, indent=2) + "\n"),
            ("report.txt", text(result)),
        ):
            whole = Path(scratch) / name
            whole.write_text(content)
            os.replace(whole, directory / name)
            files.append(directory / name)
    return files


def _name(net: str, wanted: float, clock_mhz: float) -> str:
    """Return a clock without what nextpnr says of its network; the system's is ``sys_clk``."""
    name = net.removeprefix("$glbnet$")
    pin = name.endswith(_PIN)
    if not pin and abs(wanted / clock_mhz - 1) < _SAME_CLOCK:
        return "sys_clk"
    return name.removesuffix(_PIN)


def _worst(placed: dict[str, Any], clock_mhz: float) -> dict[str, object]:
    within = [
        path
        for path in placed["critical_paths"]
        if path["from"] == path["to"] and path["from"].startswith("posedge ")
    ]
    least, worst = None, {}
    for path in within:
        net = path["from"].removeprefix("posedge ")
        if net not in placed["fmax"] or not path["path"]:
            continue
        taken = sum(step["delay"] for step in path["path"])
        wanted = placed["fmax"][net]["constraint"]
        slack = 1000 / wanted - taken
        if least is None or slack < least:
            least = slack
            worst = {
                "clock": _name(net, wanted, clock_mhz),
                "ns": round(taken, 2),
                "from": path["path"][0]["from"]["cell"],
                "to": path["path"][-1]["to"]["cell"],
            }
    return worst
