"""What a reader of the Verilog sees first: who made it, of what, and its ports in order."""

import importlib.metadata
import json
import re

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.generate.version import project_version

__all__ = ["LICENCE", "comment", "header", "in_order", "tools", "with_ports", "without_attributes"]

LICENCE = "Apache-2.0"
"""SPDX identifier of the licence of what is written, the project's own."""

_CHANNELS = {
    "aw": "write address",
    "w": "write data",
    "b": "write response",
    "ar": "read address",
    "r": "read data",
}
_INTERFACES = {"s_axil": "registers, AXI4-Lite slave", "m_axi": "memory, AXI4 master"}


def header(params: HwParams, about: str) -> list[str]:
    """Return lines that every file for hardware of `params` begins with; `about` is its own."""
    lines = [f"SPDX-License-Identifier: {LICENCE}", about, ""]
    lines += [f"Spikeloom {project_version()}, python -m hw generate", "", "Parameters:"]
    lines += [f"  {name} = {json.dumps(value)}" for name, value in params.as_dict().items()]
    return [*lines, f"Fingerprint: {fingerprint(params)}"]


def comment(lines: list[str], mark: str) -> str:
    """Return lines as comments that begin with `mark`."""
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in lines)


def tools() -> str:
    """Return the versions of what makes Verilog of the description."""
    names = {"Amaranth": "amaranth", "Yosys": "pyosys"}
    return ", ".join(f"{name} {importlib.metadata.version(of)}" for name, of in names.items())


def in_order(rtlil: str, top: str, names: list[str]) -> str:
    """Return RTLIL in which the ports of module `top` are numbered as `names` stand."""
    number = {name: index for index, name in enumerate(names, start=1)}
    begin = rtlil.index(f"module \\{top}\n")
    end = rtlil.index("\nend\n", begin)

    def renumber(match: re.Match) -> str:
        return f"{match[1]} {number[match[2]]} \\{match[2]}\n"

    ports = re.compile(r"^(  wire width \d+ (?:input|output)) \d+ +\\(\S+)\n", re.MULTILINE)
    body, found = ports.subn(renumber, rtlil[begin:end])
    assert found == len(names), f"{top} has {found} ports, not {len(names)}"
    return rtlil[:begin] + body + rtlil[end:]


def without_attributes(verilog: str, but: str) -> str:
    """Return Verilog without the attributes that Yosys writes, but for those called `but`."""
    found = re.compile(
        r"^ *\(\* (\w+).*?\*\)\n|\(\* (?:full|parallel)_case *(?:= .*?)?\*\) ?", re.M
    )
    return found.sub(lambda match: match[0] if match[1] == but else "", verilog)


def with_ports(verilog: str, top: str) -> str:
    """Return Verilog whose module `top` declares its ports in its head, a channel at a time."""
    head = re.search(rf"^module {top}\((.*?)\);\n", verilog, re.MULTILINE | re.DOTALL)
    assert head, f"no module {top}"
    names = [name.strip() for name in head[1].split(",")]
    end = verilog.index("\nendmodule", head.end())
    body, lines, group = verilog[head.end() : end], [], ""
    for name in names:
        way = re.compile(
            rf"^  (input|output) (\[\d+:\d+\] )?{name};\n"
            rf"  (wire|reg) (?:\[\d+:\d+\] )?{name}( = [^;]+)?;\n",
            re.MULTILINE,
        )
        found = way.search(body)
        assert found, f"{name} is no port of {top}"
        body = body[: found.start()] + body[found.end() :]
        if (own := _group(name)) != group:
            group = own
            lines += ["", f"    // {group}"] if group else [""]
        lines.append(
            f"    {found[1]:6} {found[3]:4} {found[2] or '':8}{name}{found[4] or ''},".rstrip()
        )
    lines[-1] = lines[-1].removesuffix(",")
    ports = "\n".join(lines).lstrip("\n")
    return f"{verilog[: head.start()]}module {top} (\n{ports}\n);\n{body}{verilog[end:]}"


def _group(port: str) -> str:
    """Return what a comment calls the interface and channel of a port; empty for clk and so on."""
    for interface, what in _INTERFACES.items():
        if port.startswith(f"{interface}_"):
            signal = port.removeprefix(f"{interface}_")
            channel = next(c for c in ("aw", "ar", "w", "b", "r") if signal.startswith(c))
            return f"{what}: {_CHANNELS[channel]}"
    return ""
