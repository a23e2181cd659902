"""The fetcher asks for exactly the row segments of the events, tile after tile."""

import random

import pytest

from hw.fetch import Fetcher
from hw.memory_port import segment_layout
from hw.presets import preset
from tests.harness.streams import collect, feed, latency, simulate

PARAMS = preset("test")
FULL_WORDS, LAST_WORDS = 4, 3


def tiling(tiles):
    extent = {"outputs": 0, "row_beats": 0}
    return {
        "tiles": tiles,
        "full": {**extent, "row_words": FULL_WORDS},
        "last": {**extent, "row_words": LAST_WORDS},
    }


async def start(ctx, dut, base, tiles):
    ctx.set(dut.tiling, tiling(tiles))
    ctx.set(dut.base, base)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


def walk(events, channels, tiles):
    """Return what the event queue hands over: each tile's events, and its end mark."""
    one = [{"channel": k, "end": 0} for k in events] + [{"channel": channels, "end": 1}]
    return one * tiles


def segments(base, events, channels, tiles):
    """Return (address, words) of every row segment; a tile's base follows the one before it."""
    expected = []
    for tile in range(tiles):
        words = LAST_WORDS if tile == tiles - 1 else FULL_WORDS
        expected += [(base + k * words, words) for k in events]
        base += channels * words
    return expected


@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.6), (0.3, 0.3)])
def test_matmuls_one_after_the_other(idle, stall, seed):
    rng = random.Random(seed)
    matmuls = []
    for tiles in (1, 2, 3, 7):
        for channels in (1, 64, PARAMS.max_channels):
            base = rng.getrandbits(36)
            events = sorted({0, channels - 1, *(rng.randrange(channels) for _ in range(9))})
            matmuls += [(base, events, channels, tiles), (base, [], channels, tiles)]
    dut = Fetcher(PARAMS)
    taken, finished = [], []

    async def drive(ctx):
        for index, (base, events, channels, tiles) in enumerate(matmuls):
            await start(ctx, dut, base, tiles)
            await feed(ctx, dut.i, walk(events, channels, tiles), rng, idle)
            while len(finished) <= index:
                await ctx.tick()

    async def check(ctx):
        for matmul in matmuls:
            words = await collect(ctx, dut.o, len(segments(*matmul)), rng, stall)
            taken.append([segment_layout(PARAMS).from_bits(word) for word in words])
            for _ in range(4):
                assert not ctx.get(dut.o.valid), "an end mark became a segment"
                await ctx.tick()
            finished.append(1)

    simulate(dut, drive, check)
    for matmul, got in zip(matmuls, taken, strict=True):
        assert [(s.address, s.words) for s in got] == segments(*matmul)


def test_timing():
    dut = Fetcher(PARAMS)
    events = list(range(100))

    async def check(ctx):
        await start(ctx, dut, 0, 2)
        assert await latency(ctx, dut.i, dut.o, {"channel": 7, "end": 0}) == 1
        ctx.set(dut.o.ready, 1)
        for payload in walk(events, len(events), 1):
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.i.valid, 1)
            assert ctx.get(dut.i.ready)
            assert ctx.get(dut.o.valid)
            await ctx.tick()

    simulate(dut, check)
