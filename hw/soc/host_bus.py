"""A register between a host's bridge and the bus."""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import wishbone
from migen import If

__all__ = ["HostBus"]


class HostBus(LiteXModule):
    """Hand a master's accesses to the bus one by one, and their results back, by registers.

    A host's bridge is slow, and lies where its pins are. Without this, its address would go through
    the bus to all who wait for it within a cycle, the CPU among them.

    Parameters
    ----------
    host : wishbone.Interface
        The bridge's side.

    Members
    -------
    bus : wishbone.Interface
        The bus' side: two cycles more an access.
    """

    bus: Any
    sync: Any

    def __init__(self, host: Any) -> None:
        bus: Any = wishbone.Interface.like(host)
        self.bus = bus
        asks = host.cyc & host.stb & ~host.ack & ~host.err
        asked = ("adr", "dat_w", "sel", "we")
        self.sync += [
            host.ack.eq(0),
            host.err.eq(0),
            If(
                bus.cyc,
                If(
                    bus.ack | bus.err,
                    bus.cyc.eq(0),
                    bus.stb.eq(0),
                    host.ack.eq(bus.ack),
                    host.err.eq(bus.err),
                    host.dat_r.eq(bus.dat_r),
                ),
            ).Elif(
                asks,
                bus.cyc.eq(1),
                bus.stb.eq(1),
                *(getattr(bus, name).eq(getattr(host, name)) for name in asked),
            ),
        ]
