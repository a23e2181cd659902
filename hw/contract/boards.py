"""Boards, and the accelerator that stands for each: its parameters, FPGA and clock."""

from dataclasses import dataclass, replace

from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["BOARDS", "BoardHardware", "board_hardware"]


@dataclass(frozen=True, kw_only=True)
class BoardHardware:
    """An accelerator for a board, whatever the model.

    Attributes
    ----------
    name : str
        For people.
    part : str
        The FPGA, as its vendor orders it.
    family : str
        ``ecp5`` or ``xilinx``: which tools and which constraints.
    package, speed : str
        Of the FPGA, as nextpnr names them (ECP5) or as the part says (Xilinx).
    clock_mhz : float
        That the constraints ask for.
    params : HwParams
        Its dimensions.
    """

    name: str
    part: str
    family: str
    package: str
    speed: str
    clock_mhz: float
    params: HwParams


_SMALL = replace(preset("edge"), tokens=1, lanes=32)
# Beside a memory controller on an 85F, whose 16-bit DDR3 gives 64 bits a system clock.
_ECP5 = replace(_SMALL, axi_data_width=64)

BOARDS: dict[str, BoardHardware] = {
    # Its 16-bit DDR3 runs at four times the system clock, and so gives 128 bits of that.
    "arty-a7-100t": BoardHardware(
        name="Arty A7-100T",
        part="xc7a100tcsg324-1",
        family="xilinx",
        package="csg324",
        speed="1",
        clock_mhz=100,
        params=_SMALL,
    ),
    "ecpix5-85f": BoardHardware(
        name="ECPIX-5 85F",
        part="LFE5UM5G-85F-8BG554I",
        family="ecp5",
        package="CABGA554",
        speed="8",
        clock_mhz=75,
        params=_ECP5,
    ),
    "kv260": BoardHardware(
        name="KV260",
        part="xck26-sfvc784-2LV-c",
        family="xilinx",
        package="sfvc784",
        speed="2LV",
        clock_mhz=200,
        params=_SMALL,
    ),
    "orangecrab-85f": BoardHardware(
        name="OrangeCrab 85F",
        part="LFE5U-85F-8MG285C",
        family="ecp5",
        package="CSFBGA285",
        speed="8",
        clock_mhz=60,
        params=_ECP5,
    ),
    "u280": BoardHardware(
        name="Alveo U280",
        part="xcu280-fsvh2892-2L-e",
        family="xilinx",
        package="fsvh2892",
        speed="2L",
        clock_mhz=200,
        params=replace(preset("edge"), tokens=1, banks=16, axi_data_width=256),
    ),
    "vck190": BoardHardware(
        name="VCK190",
        part="xcvc1902-vsva2197-2MP-e-S",
        family="xilinx",
        package="vsva2197",
        speed="2MP",
        clock_mhz=200,
        params=replace(preset("edge"), banks=16, axi_data_width=256),
    ),
}
"""By the keys by which ``python -m compiler build --board`` knows them too."""


def board_hardware(key: str) -> BoardHardware:
    """Return what stands for a board; raises ValueError naming those that there are."""
    try:
        return BOARDS[key]
    except KeyError:
        raise ValueError(f"board must be one of {', '.join(sorted(BOARDS))}, not {key!r}") from None
