"""A register between a master and the bus."""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import wishbone
from migen import If

__all__ = ["BusRegister"]


class BusRegister(LiteXModule):
    """Hand a master's accesses to the bus one by one, and their results back, by registers.

    All masters share one bus, and with it one arbiter, one decoder and one acknowledgement. Without
    this, an address of one would go through all three to the others within a cycle.

    Parameters
    ----------
    master : wishbone.Interface
        The master's side.

    Members
    -------
    bus : wishbone.Interface
        The bus' side: two cycles more an access.
    """

    bus: Any
    sync: Any

    def __init__(self, master: Any) -> None:
        bus: Any = wishbone.Interface.like(master)
        self.bus = bus
        asks = master.cyc & master.stb & ~master.ack & ~master.err
        asked = ("adr", "dat_w", "sel", "we")
        self.sync += [
            master.ack.eq(0),
            master.err.eq(0),
            If(
                bus.cyc,
                If(
                    bus.ack | bus.err,
                    bus.cyc.eq(0),
                    bus.stb.eq(0),
                    master.ack.eq(bus.ack),
                    master.err.eq(bus.err),
                    master.dat_r.eq(bus.dat_r),
                ),
            ).Elif(
                asks,
                bus.cyc.eq(1),
                bus.stb.eq(1),
                *(getattr(bus, name).eq(getattr(master, name)) for name in asked),
            ),
        ]
