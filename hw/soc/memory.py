"""LiteDRAM's controller with an AXI4 port, as Verilog: the memory that simulations are timed by.

To import this file needs LiteX; `require_litex` says so in a sentence.
"""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from litedram import modules
from litedram.core import LiteDRAMCore
from litedram.phy import ECP5DDRPHY, dfi
from litex.soc.interconnect.axi import AXIInterface
from migen import Array, Cat, ClockDomain, If, Record, Signal
from migen.fhdl.verilog import convert

from hw.memory.port import AXI_ID_WIDTH
from hw.soc.dram_port import Block, DramPort

__all__ = ["CONTROLLER", "DDR3", "Dram", "controller_verilog", "dram_module", "phy_settings"]

CONTROLLER = "litedram_controller"
"""Name of the Verilog module."""

_ADDRESS = ("id", "addr", "len", "size", "burst")
_CHANNELS = {
    "aw": _ADDRESS,
    "w": ("data", "strb", "last"),
    "b": ("id", "resp"),
    "ar": _ADDRESS,
    "r": ("id", "data", "resp", "last"),
}
_DATA = ("data", "strb")
_CHIP = (
    *("read", "read_address", "read_data"),
    *("write", "write_address", "write_data", "write_mask"),
)
_BURST_LOG2 = 3  # of a DDR3's bursts: 8 columns


_CLOCK_NS = 1.25  # of a DRAM of the grade DDR3-1600


def dram_module(name: str, clock_hz: float) -> Any:
    """Return LiteDRAM's description of a DDR3 chip behind a PHY of two DRAM clocks a cycle.

    LiteDRAM states how long a refresh takes in clocks of the grade, and waits so many at any clock:
    at 75 MHz a fifth of all time. What the chip needs is a time, so here it is one.

    Parameters
    ----------
    name : str
        LiteDRAM's name of the chip.
    clock_hz : float
        Of the system.
    """
    kind = getattr(modules, name)
    grade = copy(kind.speedgrade_timings["1600"])
    clocks, _ = grade.tRFC
    grade.tRFC = (None, clocks * _CLOCK_NS)
    return type(name, (kind,), {"speedgrade_timings": {"default": grade}})(clock_hz, "1:2")


@dataclass(frozen=True, kw_only=True)
class Dram:
    """A DRAM behind a PHY of the ECP5: two DRAM clocks, so four words of its bus, a system cycle.

    Attributes
    ----------
    module : str
        LiteDRAM's name of the chip, for geometry and timings.
    data_bits : int
        Width of the DRAM's bus.
    clock_hz : float
        Of the system; the DRAM has twice as many.
    """

    module: str
    data_bits: int
    clock_hz: float

    def chip(self) -> Any:
        """Return LiteDRAM's description of the chip."""
        return dram_module(self.module, self.clock_hz)

    @property
    def bytes(self) -> int:
        """What it holds."""
        chip = self.chip()
        return chip.nbanks * chip.nrows * chip.ncols * self.data_bits // 8


DDR3 = Dram(module="MT41K256M16", data_bits=16, clock_hz=75e6)
"""That of ECPIX-5 and OrangeCrab, at the ECPIX-5's clock."""


def phy_settings(dram: Dram) -> Any:
    """Return the latencies of LiteDRAM's PHY for the ECP5."""
    chip = dram.chip()
    pads = Record(
        [
            ("clk_p", 1),
            ("a", chip.geom_settings.addressbits),
            ("ba", chip.geom_settings.bankbits),
            *((name, 1) for name in ("ras_n", "cas_n", "we_n", "cs_n", "cke", "odt", "reset_n")),
            ("dq", dram.data_bits),
            *((name, dram.data_bits // 8) for name in ("dm", "dqs_p")),
        ]
    )
    return ECP5DDRPHY(pads, sys_clk_freq=dram.clock_hz).settings


class _Chip(Block):
    """What the DRAM does with the commands of a PHY's interface; its bytes are elsewhere.

    Parameters
    ----------
    pins : litedram.phy.dfi.Interface
        Commands, and the words that they read and write.
    chip, settings
        LiteDRAM's description of chip and PHY.

    Members
    -------
    read, read_address, read_data : Signal
        A DRAM word is wanted; in the next cycle it is there.
    write, write_address, write_data, write_mask : Signal
        A DRAM word to be stored, but the bytes whose bit of the mask is set.
    """

    def __init__(self, pins: Any, chip: Any, settings: Any) -> None:
        geometry = chip.geom_settings
        width = settings.dfi_databits * settings.nphases
        place = geometry.colbits - _BURST_LOG2
        self.read, self.write = Signal(), Signal()
        self.read_address = Signal(geometry.rowbits + geometry.bankbits + place)
        self.write_address = Signal(len(self.read_address))
        self.read_data, self.write_data = Signal(width), Signal(width)
        self.write_mask = Signal(width // 8)

        rows = Array(Signal(geometry.rowbits, name=f"row{i}") for i in range(chip.nbanks))
        writes, written = Signal(), Signal(len(self.read_address))
        for phase in pins.phases:
            column = phase.address[_BURST_LOG2 : geometry.colbits]
            address = Cat(column, phase.bank, rows[phase.bank])
            by_column = ~phase.cs_n & phase.ras_n & ~phase.cas_n
            self.sync += If(
                ~phase.cs_n & ~phase.ras_n & phase.cas_n & phase.we_n,
                rows[phase.bank].eq(phase.address),
            )
            self.comb += [
                If(by_column & phase.we_n, self.read.eq(1), self.read_address.eq(address)),
                If(by_column & ~phase.we_n, writes.eq(1), written.eq(address)),
            ]
        data = self.read_data
        for _ in range(settings.read_latency - 1):
            later = Signal(width)
            self.sync += later.eq(data)
            data = later
        for _ in range(settings.write_latency):
            later, place_later = Signal(), Signal(len(written))
            self.sync += [later.eq(writes), place_later.eq(written)]
            writes, written = later, place_later
        self.comb += [
            Cat(phase.rddata for phase in pins.phases).eq(data),
            self.write.eq(writes),
            self.write_address.eq(written),
            self.write_data.eq(Cat(phase.wrdata for phase in pins.phases)),
            self.write_mask.eq(Cat(phase.wrdata_mask for phase in pins.phases)),
        ]


class _Controller(Block):
    """Crossbar and controller between an AXI port and the DRAM."""

    def __init__(self, dram: Dram, data_width: int, address_width: int) -> None:
        self.cd_sys = ClockDomain("sys")
        chip, settings = dram.chip(), phy_settings(dram)
        pins = dfi.Interface(
            chip.geom_settings.addressbits,
            chip.geom_settings.bankbits,
            settings.nranks,
            settings.dfi_databits,
            settings.nphases,
        )
        self.core = LiteDRAMCore(
            SimpleNamespace(settings=settings, dfi=pins),
            chip.geom_settings,
            chip.timing_settings,
            dram.clock_hz,
        )
        self.chip = _Chip(pins, chip, settings)
        self.axi = AXIInterface(
            data_width=data_width, address_width=address_width, id_width=AXI_ID_WIDTH
        )
        self.port = DramPort(self.axi, self.core.crossbar)

    def ports(self, data: bool) -> set[Signal]:
        """Return the module's ports, and name them."""
        named = {"clk": self.cd_sys.clk, "rst": self.cd_sys.rst}
        for channel, names in _CHANNELS.items():
            for name in (*names, "valid", "ready"):
                signal = getattr(getattr(self.axi, channel), name)
                named |= {f"m_axi_{channel}{name}": signal} if data or name not in _DATA else {}
        if data:
            named |= {f"chip_{name}": getattr(self.chip, name) for name in _CHIP}
        for name, signal in named.items():
            signal.name_override = name
        return set(named.values())


def controller_verilog(
    directory: Path, dram: Dram, *, data_width: int, address_width: int, data: bool = True
) -> Path:
    """Write the controller, with what the DRAM does with its commands, and return the file's path.

    The module's ports are ``clk``, ``rst``, the slave's ``m_axi_*``, and ``chip_*`` of whatever
    holds the DRAM's bytes (`_Chip`). The DRAM counts as trained: commands go out at once.

    Parameters
    ----------
    directory : Path
        Where it is written.
    dram : Dram
        The DRAM.
    data_width, address_width : int
        Of the AXI port, in bits.
    data : bool
        Whether it has the ports of the data; without them it is good for time alone.
    """
    controller = _Controller(dram, data_width, address_width)
    path = directory / f"{CONTROLLER}.v"
    path.write_text(str(convert(controller, controller.ports(data), name=CONTROLLER)))
    return path
