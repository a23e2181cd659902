"""Beats: every weight width, in the order of the lanes, at the speed of memory."""

import random

import pytest

from hw.beats import Beats, beat_layout
from hw.presets import PRESETS
from tests.harness.streams import collect, feed, simulate


@pytest.mark.parametrize("name", ["test", "edge"])
@pytest.mark.parametrize("width", [8, 4, 2])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_weights_come_out_in_order(name, width, stall, seed):
    params = PRESETS[name]
    rng = random.Random(seed)
    per_word = params.axi_data_width // width
    words = 40 if params.lanes <= per_word else 40 * params.lanes // per_word
    half = 1 << width - 1
    weights = [rng.randrange(-half, half) for _ in range(words * per_word)]
    payloads = [
        sum((w % (1 << width)) << width * i for i, w in enumerate(weights[start:][:per_word]))
        for start in range(0, len(weights), per_word)
    ]
    beats = len(weights) // params.lanes
    dut = Beats(params)
    taken, cycles = [], [0]

    async def drive(ctx):
        ctx.set(dut.weight_width, width)
        await feed(ctx, dut.i, payloads, rng, stall)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, beats, rng, stall))

    async def count(ctx):
        while len(taken) < beats:
            cycles[0] += 1
            await ctx.tick()

    simulate(dut, drive, check, count)
    layout = beat_layout(params)
    got = [layout.from_bits(raw)[lane] for raw in taken for lane in range(params.lanes)]
    assert got == weights
    if not stall:
        assert cycles[0] <= max(words, beats) + 4
