"""Counts the cycles in which nothing moves, and tells when they are too many."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from hw.common.component import Component

__all__ = ["Watchdog"]


class Watchdog(Component):
    """Expire after a number of cycles without a transfer.

    Members
    -------
    limit : In(32)
        So many cycles; 0: never.
    watching : In(1)
        Something is going on.
    transfer : In(1)
        In this cycle something moved.
    expired : Out(1)
        There were too many; it counts anew.

    Timing:      expires 2 cycles after `limit` cycles without a transfer.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self) -> None:
        super().__init__({"limit": In(32), "watching": In(1), "transfer": In(1), "expired": Out(1)})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        cycles = Signal(32)
        moved = Signal()
        m.d.sync += [
            moved.eq(self.transfer | ~self.watching),
            cycles.eq(cycles + 1),
            self.expired.eq(0),
        ]
        with m.If(moved | self.expired):
            m.d.sync += cycles.eq(0)
        with m.Elif((cycles >= self.limit) & (self.limit != 0)):
            m.d.sync += self.expired.eq(1)
        return m
