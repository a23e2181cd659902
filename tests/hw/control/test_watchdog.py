"""The watchdog: it expires when nothing has moved for so long, and only then."""

import random

import pytest

from hw.control.watchdog import Watchdog
from tests.harness.streams import simulate

DELAY = 2  # from the last of those cycles


def run(check):
    dut = Watchdog()

    async def bench(ctx):
        await check(ctx, dut)

    simulate(dut, bench)


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_it_expires_after_so_many_cycles_and_again(limit):
    async def check(ctx, dut):
        ctx.set(dut.limit, limit)
        ctx.set(dut.watching, 1)
        ctx.set(dut.transfer, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.transfer, 0)
        quiet = 0
        while not ctx.get(dut.expired):
            await ctx.tick()
            quiet += 1
        assert quiet == limit + DELAY
        await ctx.tick()
        assert not ctx.get(dut.expired)
        again = 1
        while not ctx.get(dut.expired):
            await ctx.tick()
            again += 1
        assert limit < again <= limit + DELAY

    run(check)


def test_a_transfer_in_time_keeps_it_quiet(seed):
    rng = random.Random(seed)

    async def check(ctx, dut):
        ctx.set(dut.limit, 10)
        ctx.set(dut.watching, 1)
        for _ in range(200):
            ctx.set(dut.transfer, 1)
            await ctx.tick()
            ctx.set(dut.transfer, 0)
            for _ in range(rng.randint(0, 9)):
                await ctx.tick()
                assert not ctx.get(dut.expired)

    run(check)


@pytest.mark.parametrize("limit, watching", [(0, 1), (5, 0)])
def test_it_never_expires_when_off_or_when_nothing_is_watched(limit, watching):
    async def check(ctx, dut):
        ctx.set(dut.limit, limit)
        ctx.set(dut.watching, watching)
        for _ in range(300):
            await ctx.tick()
            assert not ctx.get(dut.expired)

    run(check)


def test_all_its_bits_count():
    async def check(ctx, dut):
        ctx.set(dut.limit, 1 << 31)
        ctx.set(dut.watching, 1)
        for _ in range(300):
            await ctx.tick()
            assert not ctx.get(dut.expired)

    run(check)
