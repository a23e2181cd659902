"""What an ECP5 is given: the netlist after synthesis, and models of its cells to simulate it."""

import importlib.util
import os
import re
import tempfile
from pathlib import Path

from hw.contract.params import HwParams
from hw.generate import yosys
from hw.generate.emit import TOP
from hw.generate.text import comment, header, tools

__all__ = ["CELLS", "NETLIST", "cell_models", "netlist"]

NETLIST, CELLS = "spikeloom_netlist.v", "spikeloom_cells.v"
"""Names of the two files."""

_OF_YOSYS = ("common_sim.vh", "ccu2c_sim.vh")
_PLAIN = ("LUT4", "LUT2", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4")
_OWN = Path(__file__).with_name("ecp5_cells.v")


def netlist(params: HwParams, directory: Path) -> list[Path]:
    """Synthesize the accelerator in `directory` for an ECP5; return the netlist and the models.

    The netlist's module is called as the accelerator's, so that the same bench runs either.

    Parameters
    ----------
    params : HwParams
        The hardware.
    directory : Path
        Where `hw.generate.emit.emit` has written it.
    """
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        whole = Path(scratch) / NETLIST
        commands = [
            f"read_verilog {directory.resolve() / TOP}.v",
            f"synth_lattice -family ecp5 -top {TOP}",
            f"write_verilog -noattr {NETLIST}",
        ]
        yosys.run(commands, Path(scratch))
        body = whole.read_text(encoding="utf-8").split("*/\n", 1)[1]
        about = f"{TOP} as cells of an ECP5; made with {tools()}."
        whole.write_text(comment(header(params, about), "//") + body, encoding="utf-8")
        models = Path(scratch) / CELLS
        models.write_text(cell_models(), encoding="utf-8")
        for file in (whole, models):
            os.replace(file, directory / file.name)
    return [directory / NETLIST, directory / CELLS]


def cell_models() -> str:
    """Return Verilog that simulates the cells: Yosys' own models, and two that it has not."""
    spec = importlib.util.find_spec("pyosys")
    assert spec and spec.origin  # a requirement
    share = Path(spec.origin).parent / "share" / "lattice"
    text = "".join((share / name).read_text(encoding="utf-8") for name in _OF_YOSYS)
    # Delays are none of a netlist before placement, and no simulator reads all forms of them.
    text = re.sub(r"^\s*specify\n.*?^\s*endspecify\n", "", text, flags=re.MULTILINE | re.DOTALL)
    modules = dict(re.findall(r"^module (\w+)(.*?\nendmodule\n)", text, re.MULTILINE | re.DOTALL))
    plain = [f"module {cell}{modules[cell]}" for cell in _PLAIN]
    return "\n".join([*plain, _OWN.read_text(encoding="utf-8")])
