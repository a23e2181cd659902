"""The simulated system, compiled: cached by the content of all it needs."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from golden.console.places import SOURCES
from golden.console.version import digest
from hw.contract.params import HwParams
from sim.rtl.builds import BUILD_ROOT, rtl_sources
from sim.rtl.litedram import PACKAGES, require_litex
from sim.rtl.verilog import Build, Design, build

__all__ = ["MAIN", "build_system"]

MAIN = Path(__file__).with_name("main.cpp")
"""Makes a process of the system: its UART is a TCP connection."""

_TOP = "spikeloom_system"
_SOC = [
    SOURCES / "hw" / "soc" / name
    for name in ("soc.py", "bus_register.py", "memory.py", "dram_port.py", "simulated.py")
]


def build_system(
    params: HwParams,
    *,
    root: Path = BUILD_ROOT,
    say: Callable[[str], None] = lambda _doing: None,
) -> Build:
    """Return the system with an accelerator of these parameters; its executable takes no argument.

    `say` is told of a build under way.

    Raises
    ------
    ToolError
        Where LiteX or a tool is missing, or a tool fails.
    """
    require_litex("the simulated system")

    def sources(directory: Path) -> list[Path]:
        from hw.soc.simulated import simulated_verilog

        return simulated_verilog(directory, params)

    design = Design(
        toplevel=_TOP,
        sources=sources,
        content={
            "params": params.as_dict(),
            "hw": digest([*rtl_sources(), *_SOC]),
            "main": digest([MAIN]),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        },
        signals=[],
        parameters={},
        main=MAIN,
    )
    return build(design, root, say)
