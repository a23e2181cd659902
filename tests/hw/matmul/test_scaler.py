"""The scaler against section 5 in Python integers, extremes among them."""

import random
from dataclasses import replace

import pytest

from hw.contract.params import LARGEST_ZERO
from hw.contract.presets import preset
from hw.matmul.scaler import Scaler
from tests.harness.streams import simulate

TEST = preset("test")
VARIANTS = {"test": TEST, "many shifts": replace(TEST, max_shift=6, tokens=1)}


def pick(rng, low, high):
    """Return a number of a range, often one of its ends."""
    return rng.choice([low, high, rng.randint(low, high), 0])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_sums_over_groups(name, gaps, seed):
    rng = random.Random(seed)
    p = VARIANTS[name]
    most = p.max_count << p.max_shift
    places = list(range(p.tile_outputs // p.encode_lanes * p.tokens))
    sums = {place: [0] * p.encode_lanes for place in places}
    dut = Scaler(p)

    def word(first, place):
        size = rng.choice([16, 32, 128])
        kind = rng.choice(["none", "zero", "minimum"])
        s = pick(rng, -most * size, most * size)
        psums = [pick(rng, -most * 128 * size, most * 128 * size) for _ in range(p.encode_lanes)]
        d = [
            pick(rng, 0 if kind != "none" else -32767, 65535 if kind != "none" else 32767)
            for _ in range(p.encode_lanes)
        ]
        limit = LARGEST_ZERO if kind == "zero" else 32767
        offsets = [pick(rng, -limit, limit) for _ in range(p.encode_lanes)]
        c = rng.randint(0, 7)
        for lane in range(p.encode_lanes):
            before = 0 if first else sums[place][lane]
            whole = psums[lane] + (offsets[lane] * s if kind == "zero" else 0)
            m = (offsets[lane] * s << c) if kind == "minimum" else 0
            sums[place][lane] = before + d[lane] * whole + m
        given = {
            "scales": [{"d": a, "offset": b} for a, b in zip(d, offsets, strict=True)],
            "spike_sum": s,
            "first": first,
            "index": place,
            "zero": kind == "zero",
            "minimum": kind == "minimum",
            "offset_shift": c,
        }
        return given, psums

    async def check(ctx):
        for group in range(4):
            rng.shuffle(places)
            for place in places:
                while rng.random() < gaps:
                    await ctx.tick()
                given, psums = word(group == 0, place)
                ctx.set(dut.i, given)
                ctx.set(dut.psums, psums)
                ctx.set(dut.i_valid, 1)
                assert ctx.get(dut.busy)
                await ctx.tick()
                ctx.set(dut.i_valid, 0)
            cycles = 0
            while ctx.get(dut.busy):
                await ctx.tick()
                cycles += 1
            assert cycles == 7  # and the cycle that it was given in
        for place in places:
            ctx.set(dut.index, place)
            ctx.set(dut.enable, 1)
            await ctx.tick()
            ctx.set(dut.enable, 0)
            ctx.set(dut.index, 0)
            for _ in range(rng.randint(1, 3)):
                assert [ctx.get(one) for one in dut.sums] == sums[place]
                await ctx.tick()

    simulate(dut, check)
