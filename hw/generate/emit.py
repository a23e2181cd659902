"""Writes an accelerator as plain Verilog."""

import json
import os
import tempfile
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # no stubs of it

from hw.contract.description import describe
from hw.contract.params import HwParams
from hw.generate import yosys
from hw.generate.text import comment, header, in_order, tools, with_ports, without_attributes
from hw.top import SpikeloomTop

__all__ = ["LINT_WAIVERS", "TOP", "emit", "to_rtlil"]

TOP = "spikeloom_top"

LINT_WAIVERS = {
    "DECLFILENAME": "one file holds every module",
    "PROCASSINIT": "registers have initial values beside their reset, for FPGAs",
    "UNUSEDSIGNAL": "Amaranth names nets that only some parameters need",
    "WIDTHEXPAND": "Amaranth's arithmetic widens operands implicitly, without loss",
    "WIDTHTRUNC": "vector == 0 is written !vector, and a selected element as a shift",
    "VARHIDDEN": "the arguments of the functions that Yosys writes are called a, b and s",
    "CASEOVERLAP": "one-hot selections are written as casez; the first match is meant",
    "UNSIGNED": "a limit of 0, which every value reaches with these parameters",
    "CMPCONST": "a limit that its field cannot exceed with these parameters",
}
"""Verilator warnings that do not point at faults here, each with its reason."""


def to_rtlil(params: HwParams) -> str:
    """Elaborate an accelerator and return it as RTLIL."""
    top = SpikeloomTop(params)
    ports = {port.name: (port, None) for _, _, port in top.signature.flatten(top)}
    # Without source attributes: they would carry the paths of the machine that generated them.
    text = rtlil.convert(top, name=TOP, ports=ports, emit_src=False)
    return in_order(text, TOP, ["clk", "rst", *ports])


def emit(params: HwParams, directory: Path) -> list[Path]:
    """Write ``spikeloom_top.v``, ``.vlt`` (lint waivers) and ``.json`` (parameters, fingerprint).

    Returns
    -------
    list of Path
        The files, complete; a file is replaced only by a whole one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    verilog, waivers, description = (
        directory / f"{TOP}.{suffix}" for suffix in ("v", "vlt", "json")
    )
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        source, result = Path(scratch) / "top.il", Path(scratch) / "top.v"
        source.write_text(to_rtlil(params))
        commands = [
            f"read_rtlil {source.name}",
            "proc -norom",
            "memory_collect",
            yosys.MARK_QUEUES,
            # A selection becomes a function of its name, and Icarus takes $name for a system's.
            "rename -enumerate -pattern choose_% t:$pmux",
            f"write_verilog -norename {result.name}",
        ]
        yosys.run(commands, Path(scratch))
        text = without_attributes(result.read_text(), but="no_rw_check")
        body = with_ports(text, TOP).split("*/\n", 1)[1]  # without Yosys' comment
        about = f"{TOP}: runs spike-driven language models; made with {tools()}."
        result.write_text(comment(header(params, about), "//") + body)
        os.replace(result, verilog)
        lines = ["`verilator_config"]
        for rule, reason in LINT_WAIVERS.items():
            lines += [f"// {reason}", f"lint_off -rule {rule}"]
        for file, text in (
            (waivers, "\n".join(lines)),
            (description, json.dumps(describe(params), indent=2)),
        ):
            result.write_text(text + "\n")
            os.replace(result, file)
    return [verilog, waivers, description]
