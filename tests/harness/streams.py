"""Drives components in Amaranth's simulator: streams with random gaps and back-pressure."""

import random
from collections.abc import Awaitable, Callable

from amaranth.hdl import Fragment
from amaranth.sim import Simulator, SimulatorContext

__all__ = ["collect", "feed", "simulate", "to_int"]

_TIMEOUT_CYCLES = 200_000


def to_int(value) -> int:
    """Return a payload constant as a plain integer."""
    return value if isinstance(value, int) else value.as_value().value


async def feed(ctx: SimulatorContext, stream, payloads, rng: random.Random, idle: float) -> None:
    """Offer `payloads` in order; before each, wait while ``rng`` says so with probability `idle`."""
    for payload in payloads:
        while rng.random() < idle:
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def collect(ctx: SimulatorContext, stream, count: int, rng: random.Random, stall: float) -> list:
    """Take `count` payloads, each after not being ready with probability `stall`.

    While a payload waits it must stay valid and the same: the rule of streams.
    """
    taken = []
    waiting = None
    for _ in range(_TIMEOUT_CYCLES):
        if len(taken) == count:
            return taken
        ready = rng.random() >= stall
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        payload = to_int(payload)
        if waiting is not None:
            assert valid and payload == waiting, "a payload changed while it waited"
        waiting = payload if valid and not ready else None
        if valid and ready:
            taken.append(payload)
    raise AssertionError(f"{len(taken)} of {count} payloads after {_TIMEOUT_CYCLES} cycles")


def simulate(component, *testbenches: Callable[[SimulatorContext], Awaitable[None]]) -> None:
    """Run until every test bench has ended."""
    simulator = Simulator(Fragment.get(component, None))
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()
