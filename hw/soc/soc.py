"""The system on a chip: accelerator, DRAM controller, host bridge, and a CPU that trains the DRAM.

To import this file needs LiteX; `hw.soc.build` says so where it is not installed.
"""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from typing import Any

from litedram.gen import LiteDRAMCoreControl
from litex.gen import LiteXModule
from litex.soc.cores.uart import UARTBone
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.axi import AXIInterface, AXILiteInterface
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from litex.soc.interconnect.stream import Buffer
from migen import ClockSignal, Instance, ResetSignal, Signal

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.contract.regs import ADDR_WIDTH
from hw.generate.emit import TOP
from hw.memory.port import AXI_ID_WIDTH
from hw.soc.bus_register import BusRegister
from hw.soc.dram_port import DramPort

__all__ = ["REGISTERS_BASE", "Accelerator", "SpikeloomSoC"]

REGISTERS_BASE = 0x9000_0000
"""Byte address of the accelerator's registers on the host's bus, outside what a CPU may cache."""

_REGION_BYTES = 0x1000
_ROM_BYTES = 0x1_0000  # a limit: the memory becomes as large as the BIOS
_ADDRESS = ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos")
_MEMORY = {
    "aw": _ADDRESS,
    "w": ("data", "strb", "last"),
    "b": ("id", "resp"),
    "ar": _ADDRESS,
    "r": ("id", "data", "resp", "last"),
}
_REGISTERS = {
    "aw": ("addr", "prot"),
    "w": ("data", "strb"),
    "b": ("resp",),
    "ar": ("addr", "prot"),
    "r": ("data", "resp"),
}
_FROM_MASTER = ("aw", "w", "ar")


class Accelerator(LiteXModule):
    """The generated Verilog as an instance: its ports as LiteX's interfaces.

    Parameters
    ----------
    params : HwParams
        Its dimensions. The Verilog itself is a file of its own (`hw.generate.emit`).

    Members
    -------
    registers : AXILiteInterface
        Slave.
    memory : AXIInterface
        Master; byte 0 is the DRAM's first.
    ev : EventManager
        The interrupt, as an event of the system.
    """

    registers: Any
    memory: Any
    ev: Any
    comb: Any
    specials: Any
    submodules: Any

    def __init__(self, params: HwParams) -> None:
        self.registers = AXILiteInterface(data_width=32, address_width=32)
        self.memory = AXIInterface(
            data_width=params.axi_data_width,
            address_width=params.axi_addr_width,
            id_width=AXI_ID_WIDTH,
        )
        self.ev = EventManager()
        self.ev.done = EventSourceLevel(description="A program ended.")
        self.ev.finalize()
        irq = Signal()
        self.comb += self.ev.done.trigger.eq(irq)
        ports = {"i_clk": ClockSignal("sys"), "i_rst": ResetSignal("sys"), "o_irq": irq}
        ports |= _ports("m_axi", self.memory, _MEMORY, drives=True)
        # The bus is long, and so is the way through the registers: a cycle lies between them.
        near = AXILiteInterface(data_width=32, address_width=32)
        for channel in _REGISTERS:
            sides = [getattr(self.registers, channel), getattr(near, channel)]
            giver, taker = sides if channel in _FROM_MASTER else sides[::-1]
            buffer = Buffer(giver.description)
            self.submodules += buffer
            self.comb += [giver.connect(buffer.sink), buffer.source.connect(taker)]
        ports |= _ports("s_axil", near, _REGISTERS, drives=False)
        for channel in ("aw", "ar"):  # the bus' addresses are of the whole system
            ports[f"i_s_axil_{channel}addr"] = getattr(near, channel).addr[:ADDR_WIDTH]
        self.specials += Instance(TOP, **ports)


def _ports(prefix: str, bus: Any, channels: dict[str, tuple[str, ...]], drives: bool) -> dict:
    """Return an interface's ports as keywords of an instance that is its master, or its slave."""
    ports = {}
    for channel, names in channels.items():
        out = (channel in _FROM_MASTER) == drives
        way, back = ("o", "i") if out else ("i", "o")
        endpoint = getattr(bus, channel)
        ports[f"{way}_{prefix}_{channel}valid"] = endpoint.valid
        ports[f"{back}_{prefix}_{channel}ready"] = endpoint.ready
        ports |= {f"{way}_{prefix}_{channel}{name}": getattr(endpoint, name) for name in names}
    return ports


class SpikeloomSoC(SoCCore):
    """An accelerator with its memory and its host, on a board or in simulation.

    The host reaches registers, control registers of LiteX and the whole DRAM over the bridge. Where
    there is a CPU, its BIOS trains the DRAM after reset, and then sets `ddrctrl_init_done`.

    Parameters
    ----------
    platform : GenericPlatform
        LiteX's description of the board.
    params : HwParams
        The accelerator's dimensions.
    clock_hz : float
        Of the system: accelerator, DRAM controller and bus have one clock.
    crg : LiteXModule
        Makes clocks and resets.
    phy, module : LiteDRAM's PHY and SDRAMModule
        The DRAM's pins, or a model of it, and its timings.
    bridge_phy : LiteXModule
        Byte streams `source` and `sink` from and to the host.
    cpu : bool
        Whether a CPU trains the DRAM; otherwise the host has to.

    Members
    -------
    accelerator : Accelerator
        Its registers are the bus region ``spikeloom``, at `REGISTERS_BASE`.
    sdram : LiteDRAMCore
        The bus region ``main_ram`` begins with the byte that is the accelerator's byte 0.
    """

    # LiteX's modules get their members from its own __setattr__, which no type checker follows.
    crg: Any
    uart: Any
    uartbone: Any
    uartbone_phy: Any
    ddrphy: Any
    sdram: Any
    ddrctrl: Any
    accelerator: Any
    memory_bridge: Any
    bus: Any
    irq: Any
    add_module: Any

    def __init__(
        self,
        platform: Any,
        params: HwParams,
        *,
        clock_hz: float,
        crg: Any,
        phy: Any,
        module: Any,
        bridge_phy: Any,
        cpu: bool = True,
    ) -> None:
        self.crg = crg
        processor = {
            "cpu_type": "vexriscv",
            "cpu_variant": "lite",
            "integrated_rom_size": _ROM_BYTES,
            "uart_name": "crossover",  # the BIOS's console, read over the bridge
        }
        SoCCore.__init__(
            self,
            platform,
            clock_hz,
            ident=f"Spikeloom {fingerprint(params)}",
            **(processor if cpu else {"cpu_type": None, "with_uart": False, "with_timer": False}),
        )
        if cpu:
            self.uart.add_auto_tx_flush(clock_hz)  # a console that nobody reads must not stop it
            for name in list(self.bus.masters):
                self.hold(name)

        self.uartbone_phy = bridge_phy
        self.uartbone = UARTBone(
            phy=bridge_phy, clk_freq=clock_hz, address_width=self.bus.address_width
        )
        self.bus.add_master(name="uartbone", master=self.uartbone.wishbone)
        self.hold("uartbone")

        # Without a cache, which would hide what the accelerator writes.
        self.ddrphy = phy
        self.add_sdram("sdram", phy=phy, module=module, l2_cache_size=0)
        self.ddrctrl = LiteDRAMCoreControl()

        self.accelerator = accelerator = Accelerator(params)
        self.memory_bridge = DramPort(accelerator.memory, self.sdram.crossbar)
        self.bus.add_slave(
            name="spikeloom",
            slave=accelerator.registers,
            region=SoCRegion(origin=REGISTERS_BASE, size=_REGION_BYTES, cached=False),
        )
        if cpu:
            self.irq.add("accelerator", use_loc_if_exists=True)

    def hold(self, master: str) -> None:
        """Put a register between the bus and one of its masters, by name."""
        register = BusRegister(self.bus.masters[master])
        self.add_module(name=f"{master}_register", module=register)
        self.bus.masters[master] = register.bus
