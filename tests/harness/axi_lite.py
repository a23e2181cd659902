"""An AXI4-Lite master in Python, with random delays on each of its five channels."""

import random

from amaranth.sim import SimulatorContext

__all__ = ["AxiLite"]

_OKAY = 0


class AxiLite:
    """Reads and writes of a slave whose signals are members of `port`.

    Parameters
    ----------
    port : wiring.Component
        The slave.
    rng, delay
        Random numbers, probability of one more cycle before a channel is valid or ready.
    """

    def __init__(self, port, rng: random.Random, delay: float = 0.0) -> None:
        self._port, self._rng, self._delay = port, rng, delay

    def _cycles(self) -> int:
        cycles = 0
        while self._rng.random() < self._delay:
            cycles += 1
        return cycles

    async def write(
        self, ctx: SimulatorContext, address: int, value: int, strobe: int = 0xF
    ) -> None:
        """Write the bytes of `value` that `strobe` marks; returns once that is acknowledged."""
        port = self._port
        waits = {"aw": self._cycles(), "w": self._cycles(), "b": self._cycles()}
        ctx.set(port.awaddr, address)
        ctx.set(port.wdata, value)
        ctx.set(port.wstrb, strobe)
        taken = ready = False
        while not ready:
            for channel in ("aw", "w"):
                ctx.set(getattr(port, f"{channel}valid"), not taken and waits[channel] <= 0)
                waits[channel] -= 1
            ready = taken and waits["b"] <= 0
            waits["b"] -= taken
            ctx.set(port.bready, ready)
            _, _, address_taken, data_taken, valid, response = await ctx.tick().sample(
                port.awvalid & port.awready, port.wvalid & port.wready, port.bvalid, port.bresp
            )
            assert address_taken == data_taken
            assert valid == taken, "the response must follow the write, and wait"
            assert not ready or response == _OKAY
            taken = taken or bool(address_taken)
        ctx.set(port.bready, 0)

    async def read(self, ctx: SimulatorContext, address: int) -> int:
        """Return the value at an address."""
        port = self._port
        for _ in range(self._cycles()):
            await ctx.tick()
        ctx.set(port.araddr, address)
        ctx.set(port.arvalid, 1)
        taken = False
        while not taken:
            _, _, taken = await ctx.tick().sample(port.arready)
        ctx.set(port.arvalid, 0)
        value = ctx.get(port.rdata)
        for _ in range(self._cycles()):
            assert ctx.get(port.rvalid)
            assert ctx.get(port.rdata) == value, "read data changed while it waited"
            await ctx.tick()
        ctx.set(port.rready, 1)
        _, _, valid, response, data = await ctx.tick().sample(port.rvalid, port.rresp, port.rdata)
        ctx.set(port.rready, 0)
        assert (valid, response, data) == (1, _OKAY, value)
        assert not ctx.get(port.rvalid)
        return value
