"""The system on a chip without a board: the same system, a model of the DRAM, a stream for a UART.

To import this file needs LiteX.
"""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

import logging
from pathlib import Path
from typing import Any

from litedram.modules import MT41K256M16
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.soc.cores.uart import RS232PHYModel
from migen import ClockDomain

from hw.contract.params import HwParams
from hw.generate.emit import emit
from hw.soc.dram_port import Block
from hw.soc.memory import DDR3, phy_settings
from hw.soc.soc import SpikeloomSoC

__all__ = ["MEMORY_BYTES", "TOP", "simulated_system", "simulated_verilog", "write_verilog"]

TOP = "spikeloom_system"
"""Name of the Verilog module."""
MEMORY_BYTES = 1 << 25
"""What the modelled DRAM holds: a real one would be half a gigabyte of arrays."""

_PINS = [
    ("clk", 0, Pins(1)),
    ("rst", 0, Pins(1)),
    (
        "serial",
        0,
        *(
            Subsignal(f"source_{name}", Pins(width))
            for name, width in (("valid", 1), ("ready", 1), ("data", 8))
        ),
        *(
            Subsignal(f"sink_{name}", Pins(width))
            for name, width in (("valid", 1), ("ready", 1), ("data", 8))
        ),
    ),
]


class _Platform(GenericPlatform):
    """A system with pins, on no device."""

    def __init__(self) -> None:
        super().__init__("none", _PINS, name=TOP)


class _Clock(Block):
    """The clock that comes in."""

    def __init__(self, platform: Any) -> None:
        self.cd_sys = domain = ClockDomain("sys")
        pins: Any = domain
        self.comb += [
            pins.clk.eq(platform.request("clk")),
            pins.rst.eq(platform.request("rst")),
        ]


def _small_chip(clock_hz: float) -> Any:
    """Return the boards' chip with fewer rows."""
    row_bytes = MT41K256M16.nbanks * MT41K256M16.ncols * DDR3.data_bits // 8
    kind = type("Small", (type(DDR3.chip()),), {"nrows": MEMORY_BYTES // row_bytes})
    return kind(clock_hz, "1:2")


def simulated_system(params: HwParams, *, cpu: bool = False) -> SpikeloomSoC:
    """Return the system, to be finalized; its platform gives its Verilog.

    Its ports are ``clk``, ``rst`` and two streams of bytes: ``serial_sink_*`` to the bridge,
    ``serial_source_*`` from it.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    cpu : bool
        Whether it has the boards' CPU. There is nothing to train in a model of a DRAM: its BIOS
        goes on to test the memory.
    """
    platform = _Platform()
    chip = _small_chip(DDR3.clock_hz)
    settings = phy_settings(DDR3)
    if cpu:
        settings.read_leveling = settings.write_leveling = False
        settings.delays = settings.bitslips = 0
    return SpikeloomSoC(
        platform,
        params,
        clock_hz=DDR3.clock_hz,
        crg=_Clock(platform),
        phy=SDRAMPHYModel(chip, settings, clk_freq=DDR3.clock_hz),
        module=chip,
        bridge_phy=RS232PHYModel(platform.request("serial")),
        cpu=cpu,
    )


def simulated_verilog(directory: Path, params: HwParams) -> list[Path]:
    """Write the Verilog of a system without a CPU, and the accelerator's, and return the files.

    Parameters
    ----------
    directory : Path
        Where they are written.
    params : HwParams
        The accelerator.
    """
    logging.disable(logging.INFO)  # LiteX tells of all that it makes
    try:
        system = simulated_system(params)
        system.finalize()
        own = write_verilog(system, directory)
    finally:
        logging.disable(logging.NOTSET)
    return [own, *(p for p in emit(params, directory) if p.suffix == ".v")]


def write_verilog(system: SpikeloomSoC, directory: Path) -> Path:
    """Write a finalized system, without its accelerator, and its memories; return the Verilog."""
    output = system.platform.get_verilog(system, name=TOP)
    path = directory / f"{TOP}.v"
    path.write_text(output.main_source)
    for name, content in output.data_files.items():  # initial values of memories
        (directory / name).write_text(content)
    return path
