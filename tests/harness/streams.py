"""Drives components in Amaranth's simulator: streams with random gaps and back-pressure."""

import random
from collections.abc import Awaitable, Callable, Sequence

from amaranth.hdl import Fragment
from amaranth.sim import Simulator, SimulatorContext

__all__ = ["StreamRule", "collect", "feed", "latency", "simulate", "to_int"]

_TIMEOUT_CYCLES = 200_000
_PERIOD = 1e-6

Testbench = Callable[[SimulatorContext], Awaitable[None]]


def to_int(value) -> int:
    """Return a payload constant as a plain integer."""
    return value if isinstance(value, int) else value.as_value().value


class StreamRule:
    """The rule of streams: a payload that waits stays valid, and the same."""

    def __init__(self) -> None:
        self._waiting = None

    def check(self, valid: int, ready: int, payload) -> bool:
        """Look at one cycle; return whether the payload was transferred."""
        payload = to_int(payload)
        if self._waiting is not None:
            assert valid and payload == self._waiting, "a payload changed while it waited"
        self._waiting = payload if valid and not ready else None
        return bool(valid and ready)


async def feed(ctx: SimulatorContext, stream, payloads, rng: random.Random, idle: float) -> None:
    """Offer `payloads` in order; before each, wait a while with probability `idle`."""
    for payload in payloads:
        while rng.random() < idle:
            await ctx.tick()
        ctx.set(stream.payload, payload)
        await _transfer(ctx, stream)


async def _transfer(ctx: SimulatorContext, stream) -> None:
    ctx.set(stream.valid, 1)
    taken = False
    while not taken:
        _, _, taken = await ctx.tick().sample(stream.ready)
    ctx.set(stream.valid, 0)


async def collect(
    ctx: SimulatorContext,
    stream,
    count: int,
    rng: random.Random,
    stall: float,
    sticky: bool = False,
) -> list[int]:
    """Take `count` payloads as integers, each after not being ready with probability `stall`.

    A `sticky` taker that is ready stays so until a payload comes, as a queue does.
    """
    taken = []
    rule = StreamRule()
    ready = False
    while len(taken) < count:
        ready = sticky and ready or rng.random() >= stall
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        if rule.check(valid, ready, payload):
            taken.append(to_int(payload))
            ready = False
    ctx.set(stream.ready, 0)
    return taken


async def latency(ctx: SimulatorContext, i, o, payload) -> int:
    """Transfer one payload into `i`; return the cycles from then until `o` is valid."""
    ctx.set(i.payload, payload)
    await _transfer(ctx, i)
    cycles = 1
    while not ctx.get(o.valid):
        await ctx.tick()
        cycles += 1
    return cycles


def simulate(component, *testbenches: Testbench, background: Sequence[Testbench] = ()) -> None:
    """Run until every test bench has ended, those in the background aside.

    Raises
    ------
    AssertionError
        If they have not ended after `_TIMEOUT_CYCLES` cycles.
    """
    simulator = Simulator(Fragment.get(component, None))
    simulator.add_clock(_PERIOD, if_exists=True)  # combinational components have none
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in background:
        simulator.add_testbench(testbench, background=True)

    async def timeout(ctx):
        await ctx.delay(_TIMEOUT_CYCLES * _PERIOD)
        raise AssertionError(f"the test benches have not ended after {_TIMEOUT_CYCLES} cycles")

    simulator.add_testbench(timeout, background=True)
    simulator.run()
