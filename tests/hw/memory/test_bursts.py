"""Bursts cover their segments exactly, merge neighbours, and obey AXI4's limits."""

import random

import pytest

from hw.contract.presets import preset
from hw.memory.bursts import Bursts
from hw.memory.port import burst_layout, segment_layout
from tests.harness.streams import feed, latency, simulate

PARAMS = preset("test")
PAGE_WORDS = 4096 // PARAMS.axi_bytes
MAX_WORDS = 16


def run(segments, rng, idle, stall, hurry=1):
    """Pass segments through; return the bursts as (address, words) until all words have come."""
    dut = Bursts(PARAMS, MAX_WORDS)
    total = sum(words for _, words in segments)
    bursts, waiting = [], [None]
    assert dut.i.payload.shape() == segment_layout(PARAMS)

    async def drive(ctx):
        ctx.set(dut.hurry, hurry)
        payloads = [{"address": a, "words": w} for a, w in segments]
        await feed(ctx, dut.i, payloads, rng, idle)
        ctx.set(dut.hurry, 1)

    async def check(ctx):
        for _ in range(100_000):
            if sum(words for _, words in bursts) == total:
                break
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            burst = (payload.address, payload.words)
            assert waiting[0] in (None, burst), "a burst changed while it waited"
            waiting[0] = burst if valid and not ready else None
            if valid and ready:
                bursts.append(burst)
        ctx.set(dut.o.ready, 1)
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulate(dut, drive, check)
    return bursts


def words_of(runs):
    return [address + offset for address, words in runs for offset in range(words)]


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.3, 0.9)])
def test_random_segments(idle, stall, seed):
    rng = random.Random(seed)
    segments, address = [], 0
    for _ in range(300):
        if rng.random() < 0.4:
            address += rng.choice([1, 3, 100, PAGE_WORDS - address % PAGE_WORDS])
        words = rng.choice([1, 1, 2, 5, MAX_WORDS, MAX_WORDS + 1, 70])
        segments.append((address, words))
        address += words
    bursts = run(segments, rng, idle, stall)
    assert words_of(bursts) == words_of(segments)
    for first, words in bursts:
        assert 1 <= words <= MAX_WORDS
        assert first // PAGE_WORDS == (first + words - 1) // PAGE_WORDS, "a burst crosses 4 KiB"


def test_neighbours_merge_into_full_bursts():
    segments = [(2 * k, 2) for k in range(256)]
    bursts = run(segments, random.Random(0), idle=0, stall=0.9)
    assert all(words == MAX_WORDS for _, words in bursts)


def test_a_burst_waits_to_grow_unless_in_a_hurry():
    segments = [(2 * k, 2) for k in range(256)]
    patient = run(segments, random.Random(0), idle=0.9, stall=0, hurry=0)
    assert all(words == MAX_WORDS for _, words in patient)
    hasty = run(segments, random.Random(0), idle=0.9, stall=0, hurry=1)
    assert len(hasty) > len(patient)


def test_timing():
    dut = Bursts(PARAMS, MAX_WORDS)

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.hurry, 1)
        assert await latency(ctx, dut.i, dut.o, {"address": 5, "words": 1}) == 2

    simulate(dut, check)


@pytest.mark.parametrize("gap", [0, 100])
def test_throughput(gap):
    """A segment is taken a cycle, whether it joins or is a burst of its own."""
    dut = Bursts(PARAMS, MAX_WORDS)
    count = 10 * MAX_WORDS
    payloads = [{"address": (gap + 1) * k, "words": 1} for k in range(count)]
    passed = [0]

    async def drive(ctx):
        ctx.set(dut.o.ready, 1)
        await feed(ctx, dut.i, payloads, random.Random(0), 0)

    async def watch(ctx):
        while True:
            await ctx.tick()
            passed[0] += 1

    simulate(dut, drive, background=[watch])
    assert passed[0] in range(count - 1, count + 2)


def test_layouts_hold_the_longest():
    assert burst_layout(PARAMS)["words"].width >= PARAMS.max_burst_words.bit_length()
