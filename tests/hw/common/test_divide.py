"""The divider: quotients rounded down, whatever the widths."""

import random

import pytest

from hw.common.divide import Divider
from tests.harness.streams import collect, feed, latency, simulate

WIDTHS = [(1, 1), (8, 5), (33, 17), (74, 32)]


def operands(rng, width):
    """Return a number of any size, often an extreme one."""
    return rng.choice([0, 1, (1 << width) - 1, 1 << width - 1, rng.getrandbits(width)]) >> (
        rng.randrange(width)
    )


@pytest.mark.parametrize("dividend_width, divisor_width", WIDTHS)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.4, 0.6)])
def test_quotients(dividend_width, divisor_width, idle, stall, seed):
    rng = random.Random(seed)
    dut = Divider(dividend_width, divisor_width)
    pairs = [
        (operands(rng, dividend_width), max(1, operands(rng, divisor_width))) for _ in range(200)
    ]
    quotients = []

    async def drive(ctx):
        payloads = [
            {"dividend": n, "divisor": d, "remainder": 0, "steps": dut.steps} for n, d in pairs
        ]
        await feed(ctx, dut.i, payloads, rng, idle)

    async def check(ctx):
        quotients.extend(await collect(ctx, dut.o, len(pairs), rng, stall))

    simulate(dut, drive, check)
    assert quotients == [n // d for n, d in pairs]


@pytest.mark.parametrize("dividend_width, divisor_width", WIDTHS)
def test_latency(dividend_width, divisor_width):
    dut = Divider(dividend_width, divisor_width)

    async def check(ctx):
        payload = {"dividend": 1, "divisor": 1, "remainder": 0, "steps": dut.steps}
        assert await latency(ctx, dut.i, dut.o, payload) == -(-dividend_width // 2) + 1

    simulate(dut, check)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_division_that_begins_later(steps, seed):
    rng = random.Random(seed)
    dut = Divider(40, 17)
    cases = []
    for _ in range(50):
        divisor = rng.randrange(1, 1 << 17)
        cases.append((rng.getrandbits(2 * steps), divisor, rng.randrange(divisor)))

    async def check(ctx):
        for dividend, divisor, remainder in cases:
            payload = {
                "dividend": dividend << 40 - 2 * steps,
                "divisor": divisor,
                "remainder": remainder,
                "steps": steps,
            }
            assert await latency(ctx, dut.i, dut.o, payload) == steps + 1
            quotient = ((remainder << 2 * steps) + dividend) // divisor
            assert ctx.get(dut.o.payload) == quotient, payload
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    simulate(dut, check)
