"""The threshold's serial arithmetic against golden."""

import random

import torch

from golden.numerics.neuron import Site, threshold
from hw.contract.presets import preset
from hw.spike.threshold import Threshold
from tests.harness.streams import collect, feed, simulate

PARAMS = preset("test")
LATENCY = Threshold.latency(PARAMS)


def cases(rng):
    """Corners, then random sites; each is (site, magnitudes that make the potential)."""
    corners = [
        (Site("absmax", 127, 256, 127, 0, 0), [0]),
        (Site("absmax", 127, 1, 127, 0, 0), [1]),
        (Site("absmax", 1, 256, 1, 0, 0), [2**31]),
        (Site("static", 127, 256, 127, 2**31, 0), [5]),
        (Site("mean", 127, 256, 1, 0, 0), [2**31] * PARAMS.max_channels),
        (Site("mean", 127, 256, 2**24 - 1, 0, 0), [2**31] * PARAMS.max_channels),
    ]
    for _ in range(40):
        rule = rng.choice(["absmax", "mean", "static"])
        count = rng.randint(1, 127)
        divisor = rng.randint(1, 2**14) if rule == "mean" else count
        multiplier = 256 if rule == "mean" else rng.randint(1, 256)
        peak = rng.getrandbits(rng.randint(1, 31)) if rule == "static" else 0
        values = [rng.getrandbits(rng.randint(1, 31)) for _ in range(rng.randint(1, 8))]
        corners.append((Site(rule, count, multiplier, divisor, peak, 0), values))
    return corners


def test_threshold_equals_golden_in_the_stated_time(seed):
    rng = random.Random(seed)
    payloads, expected = [], []
    for site, values in cases(rng):
        potential = {"absmax": max(values), "mean": sum(values), "static": site.peak}[site.rule]
        payloads.append(
            {
                "potential": potential,
                "multiplier": site.multiplier,
                "divisor": site.divisor,
                "shifts": site.shifts,
            }
        )
        x = torch.tensor([[-v if v == 2**31 else v for v in values]], dtype=torch.int64)
        expected.append(int(threshold(x.to(torch.int32), site)[0]))
    dut = Threshold(PARAMS)
    taken = []

    async def drive(ctx):
        await feed(ctx, dut.i, payloads, rng, idle=0.0)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(payloads), rng, stall=0.5))

    simulate(dut, drive, check)
    assert taken == expected


def test_threshold_latency():
    dut = Threshold(PARAMS)

    async def check(ctx):
        ctx.set(dut.i.payload, {"potential": 12345678, "multiplier": 256, "divisor": 127})
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        cycles = 1
        while not ctx.get(dut.o.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == LATENCY

    simulate(dut, check)
