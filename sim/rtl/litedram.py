"""The memories there are behind the accelerator's bus, and the Verilog of those that have some."""

import importlib.metadata
import importlib.util
from pathlib import Path

from golden.console.places import SOURCES
from golden.console.version import digest
from hw.contract.params import HwParams
from sim.errors import ToolError

__all__ = ["CONTROLLER", "PACKAGES", "controller", "controller_content", "require_litex"]

CONTROLLER = "litedram_controller"
"""Name of the Verilog module, as `hw.soc.memory` has it."""

PACKAGES = ("litedram", "litex", "migen")
"""What LiteX's systems are made with."""
_DDR3 = "the memory litedram-ddr3"
_FILES = [SOURCES / "hw" / "soc" / name for name in ("memory.py", "dram_port.py")]


def require_litex(what: str) -> None:
    """Raise ToolError, with what to install, where LiteX is missing and `what` needs it."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ToolError(
            f"{what} needs the Python package {missing[0]}: pip install 'spikeloom[soc]'"
        )


def controller(params: HwParams, directory: Path, *, data: bool) -> Path:
    """Write LiteDRAM's controller for an accelerator's bus, with or without ports for the data.

    Raises
    ------
    ToolError
        Where LiteDRAM is missing.
    """
    require_litex(_DDR3)
    from hw.soc.memory import DDR3, controller_verilog

    return controller_verilog(
        directory,
        DDR3,
        data_width=params.axi_data_width,
        address_width=params.axi_addr_width,
        data=data,
    )


def controller_content(params: HwParams) -> dict[str, object]:
    """Return what stands for the controller in a cache's key; raises as `controller` does."""
    require_litex(_DDR3)
    return {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "sources": digest(_FILES),
        "widths": [params.axi_data_width, params.axi_addr_width],
    }
