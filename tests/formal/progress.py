"""No deadlock: who waits is served within a bounded time, if memory and consumers are fair.

Fair means: takes or answers within `PATIENCE` cycles. The age of the oldest wait is followed
through the stages of its way, so the bound holds for runs of any length.
"""

from collections.abc import Callable

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover

from hw.contract.params import HwParams
from hw.memory.port import READ_CLIENTS
from tests.formal.memory_port import Client
from tests.formal.rules import handshake

__all__ = ["PATIENCE", "SERVED_CYCLES", "fair", "served"]

PATIENCE = 3
"""Cycles that a fair one may let others wait."""
SERVED_CYCLES = 4 * PATIENCE + 6
"""Besides those in which its burst grows, until a client of the read port has its next word."""


def fair(m: Module, waits: Value, name: str) -> Signal:
    """Assume that a wait ends within `PATIENCE` cycles; return how long it has lasted."""
    waited = Signal(range(PATIENCE + 1), name=f"{name}_waited")
    m.d.sync += waited.eq(Mux(waits, waited + 1, 0))
    m.d.comb += Assume(~waits | (waited != PATIENCE))
    return waited


def served(index: int) -> Callable[[Module, HwParams], None]:
    """Return the proof that a client gets its next word, while those before it want nothing."""

    def build(m: Module, p: HwParams) -> None:
        client = Client(m, p, index)
        dut, o = client.dut, client.o
        for name in READ_CLIENTS[:index]:
            m.d.comb += Assume(~getattr(dut, f"i_{name}").valid)
        address, level = dut.o_address, client.level
        at_port = fair(m, address.valid & ~address.ready, "address")
        at_memory = fair(m, (client.under_way != 0) & ~client.comes, "memory")
        at_client = fair(m, o.valid & ~o.ready, "client")

        age = Signal(8)
        bound = Signal(8)
        m.d.sync += age.eq(Mux((client.owed == 0) | handshake(o), 0, age + 1))
        stage, longest = PATIENCE + 1, client.longest
        m.d.comb += [Assert(age <= bound), Assert(age < longest + SERVED_CYCLES)]
        with m.If(o.valid):
            m.d.comb += bound.eq(longest + 3 * stage + 2 + at_client)
        with m.Elif(level != 0):
            m.d.comb += bound.eq(longest + 3 * stage + 1)
        with m.Elif(client.under_way != 0):
            m.d.comb += bound.eq(longest + 2 * stage + 1 + at_memory)
        with m.Elif(client.at_port != 0):
            m.d.comb += bound.eq(longest + stage + 1 + at_port)
        with m.Elif(client.offers):
            m.d.comb += bound.eq(longest + 1 + Mux(address.valid, at_port, 0))
        with m.Else():  # the burst grows by each segment that joins, until it is complete
            m.d.comb += bound.eq(Mux(client.run_words < longest, client.run_words, longest))
        m.d.comb += Cover(handshake(o) & (age == 12))
        for name in READ_CLIENTS[:index]:
            idle = client.inside.signal(f"{name}_bursts.run_words") == 0
            m.d.comb += Assert(idle & ~client.inside.signal(f"{name}_bursts.o__valid"))
            m.d.comb += Assert(~client.inside.signal(f"{name}_bursts.leaving.waits"))

    return build
