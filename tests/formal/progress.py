"""No deadlock: who waits is served within a bounded time, if memory and consumers are fair.

Fair means: takes or answers within `PATIENCE` cycles. The age of the oldest wait is followed through
the stages of its way, so the bound holds for runs of any length.
"""

from collections.abc import Callable

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover

from hw.memory_port import READ_CLIENTS
from hw.params import HwParams
from tests.formal.memory_port import Client
from tests.formal.rules import handshake

PATIENCE = 3


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
        port_taken = address.valid & ~client.at_port.any()
        m.d.comb += Assert(age <= bound)
        stage = PATIENCE + 1
        with m.If(o.valid):
            m.d.comb += bound.eq(3 * stage + 3 + stage + at_client)
        with m.Elif(level != 0):
            m.d.comb += bound.eq(3 * stage + 3)
        with m.Elif(client.under_way != 0):
            m.d.comb += bound.eq(3 * stage + at_memory)
        with m.Elif(client.at_port != 0):
            m.d.comb += bound.eq(2 * stage + at_port)
        with m.Elif(client.offers):
            m.d.comb += bound.eq(stage + Mux(port_taken, at_port, 0))
        with m.Else():
            m.d.comb += bound.eq(1)
        m.d.comb += Cover(handshake(o) & (age == 12))
        for name in READ_CLIENTS[:index]:
            other = client.inside
            m.d.comb += Assert(~other.signal(f"{name}_bursts.o__valid"))
            m.d.comb += Assert(other.signal(f"{name}_bursts.run_words") == 0)

    return build


served_weights = served(3)
served_program = served(0)
