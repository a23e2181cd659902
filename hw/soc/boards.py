"""The boards that a bitstream can be made for: what LiteX needs to know of each."""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hw.contract.boards import BoardHardware, board_hardware
from hw.contract.params import HwParams

__all__ = ["BOARDS", "Board", "board"]

_MAC_ADDRESS, _IP_ADDRESS, _PORT = 0x10E2D5000000, "192.168.1.50", 1234  # of Etherbone: LiteX's


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with an ECP5-85F and DDR3.

    Attributes
    ----------
    key : str
        Its name in `hw.contract.boards`.
    dram : str
        LiteDRAM's module.
    loader : str
        Its name for ``openFPGALoader -b``.
    make : callable
        Its system, of `params`, `clock_mhz` and the `baud` of its UART.
    """

    key: str
    dram: str
    loader: str
    make: Callable[["Board", HwParams, float, int], Any]

    @property
    def hardware(self) -> BoardHardware:
        """Its FPGA and clock."""
        return board_hardware(self.key)

    @property
    def place(self) -> tuple[str, ...]:
        """What nextpnr-ecp5 is told of its FPGA."""
        family, size, *_ = self.hardware.part.lower().split("-")
        kind = "" if family == "lfe5u" else f"{family.removeprefix('lfe5')}-"
        device = f"--{kind}{size.replace('f', 'k')}"
        return (device, "--package", self.hardware.package, "--speed", self.hardware.speed)


def _ecpix5(about: Board, params: HwParams, clock_mhz: float, baud: int) -> Any:
    from litedram.phy import ECP5DDRPHY
    from liteeth.phy.ecp5rgmii import LiteEthPHYRGMII
    from litex.soc.cores.uart import UARTPHY
    from litex_boards.platforms import lambdaconcept_ecpix5
    from litex_boards.targets.lambdaconcept_ecpix5 import _CRG

    from hw.soc.memory import dram_module
    from hw.soc.soc import SpikeloomSoC

    clock_hz = clock_mhz * 1e6
    platform = lambdaconcept_ecpix5.Platform(device="85F")
    crg: Any = _CRG(platform, clock_hz)
    phy: Any = ECP5DDRPHY(platform.request("ddram"), sys_clk_freq=clock_hz)
    soc: Any = SpikeloomSoC(
        platform,
        params,
        clock_hz=clock_hz,
        crg=crg,
        phy=phy,
        module=dram_module(about.dram, clock_hz),
        bridge_phy=UARTPHY(platform.request("serial"), clock_hz, baud),
    )
    soc.comb += [crg.stop.eq(phy.init.stop), crg.reset.eq(phy.init.reset)]
    soc.ethphy = LiteEthPHYRGMII(
        clock_pads=platform.request("eth_clocks"), pads=platform.request("eth"), rx_delay=0e-9
    )
    _add_etherbone(soc)
    return soc


def _add_etherbone(soc: Any) -> None:
    """Add the bridge over Ethernet, as `SoC.add_etherbone` of LiteX does with 32 bits.

    But for two things, which cut the ready that would go from the MAC's transmitter to its
    receiver within a cycle: queues lie between the bridge and UDP, as LiteX has them with 8 bits,
    and between the MAC and what takes IP's packets apart.
    """
    from liteeth.core import LiteEthUDPIPCore
    from liteeth.frontend.etherbone import LiteEthEtherbone
    from migen import ClockDomain, ClockSignal, ResetSignal

    with _queue_before_ip():
        soc.ethcore = LiteEthUDPIPCore(
            phy=soc.ethphy,
            mac_address=_MAC_ADDRESS,
            ip_address=_IP_ADDRESS,
            clk_freq=soc.clk_freq,
            arp_entries=1,
            dw=32,
            with_sys_datapath=True,
        )
    queues: Any = ClockDomain("etherbone")
    soc.cd_etherbone = queues
    soc.comb += [queues.clk.eq(ClockSignal("sys")), queues.rst.eq(ResetSignal("sys"))]
    soc.etherbone = LiteEthEtherbone(soc.ethcore.udp, _PORT, buffer_depth=16, cd="etherbone")
    soc.bus.add_master(name="etherbone", master=soc.etherbone.wishbone.bus)
    soc.hold("etherbone")
    for clock in (soc.ethphy.crg.cd_eth_rx.clk, soc.ethphy.crg.cd_eth_tx.clk):
        soc.platform.add_period_constraint(clock, 1e9 / soc.ethphy.rx_clk_freq)


@contextmanager
def _queue_before_ip() -> Iterator[None]:
    """Let LiteEth's IP be made with a queue in front of its receiver."""
    from liteeth.common import eth_mac_description
    from liteeth.core import ip
    from litex.soc.interconnect import stream

    receiver = ip.LiteEthIPRX

    class QueuedReceiver(receiver):
        """LiteEth's receiver of IP packets, and two words of a queue."""

        def __init__(self, *arguments: Any, dw: int = 8, **options: Any) -> None:
            super().__init__(*arguments, dw=dw, **options)
            self.queue: Any = stream.SyncFIFO(eth_mac_description(dw), 2)
            self.comb += self.queue.source.connect(self.sink)
            self.sink = self.queue.sink

    ip.LiteEthIPRX = QueuedReceiver
    try:
        yield
    finally:
        ip.LiteEthIPRX = receiver


def _orangecrab(about: Board, params: HwParams, clock_mhz: float, baud: int) -> Any:
    from litedram.phy import ECP5DDRPHY
    from litex.soc.cores.uart import UARTPHY
    from litex_boards.platforms import gsd_orangecrab
    from litex_boards.targets.gsd_orangecrab import _CRGSDRAM

    from hw.soc.memory import dram_module
    from hw.soc.soc import SpikeloomSoC

    clock_hz = clock_mhz * 1e6
    platform = gsd_orangecrab.Platform(revision="0.2", device="85F")
    platform.add_extension(gsd_orangecrab.feather_serial)  # its USB has no core among the packages
    crg: Any = _CRGSDRAM(platform, clock_hz)
    pads: Any = platform.request("ddram")
    # The board crosses the two data masks; the rest is LiteX's own setting for it.
    phy: Any = ECP5DDRPHY(
        pads,
        sys_clk_freq=clock_hz,
        dm_remapping={0: 1, 1: 0},
        cmd_delay=0 if clock_hz > 64e6 else 100,
    )
    phy.settings.rtt_nom = "disabled"
    soc: Any = SpikeloomSoC(
        platform,
        params,
        clock_hz=clock_hz,
        crg=crg,
        phy=phy,
        module=dram_module(about.dram, clock_hz),
        bridge_phy=UARTPHY(platform.request("serial"), clock_hz, baud),
    )
    # Pins that the board ties to the supplies.
    soc.comb += [pads.vccio.eq(0b111111), pads.gnd.eq(0)]
    soc.comb += [crg.stop.eq(phy.init.stop), crg.reset.eq(phy.init.reset)]
    return soc


BOARDS = {
    board.key: board
    for board in (
        Board(key="ecpix5-85f", dram="MT41K256M16", loader="ecpix5", make=_ecpix5),
        Board(key="orangecrab-85f", dram="MT41K256M16", loader="orangeCrab", make=_orangecrab),
    )
}
"""By the name that a command takes."""


def board(key: str) -> Board:
    """Return the board called `key`; raises ValueError naming those that exist."""
    try:
        return BOARDS[key]
    except KeyError:
        known = ", ".join(sorted(BOARDS))
        raise ValueError(f"board must be one of {known}, not {key!r}") from None
