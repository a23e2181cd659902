"""The spike buffer and event queue: every firing channel once, in order, no silent one."""

import random
from dataclasses import replace

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.contract.presets import preset
from hw.spike.buffer import SpikeBuffer
from hw.spike.events import EventQueue, event_layout
from tests.harness.streams import collect, feed, simulate

PARAMS = preset("test")


class Pair(wiring.Component):
    """A spike buffer with its event queue."""

    def __init__(self, params=PARAMS):
        self.spikes, self.events = SpikeBuffer(params), EventQueue(params)
        super().__init__({"unused": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.spikes, m.submodules.events = spikes, events = self.spikes, self.events
        m.d.comb += [
            spikes.scan_address.eq(events.scan_address),
            spikes.scan_enable.eq(events.scan_enable),
            spikes.i_batch.payload.eq(events.i_batch.payload),
            spikes.i_batch.valid.eq(events.i_batch.valid & events.i_batch.ready),
            events.channels.eq(spikes.channels),
            events.ready_words.eq(spikes.ready_words),
            events.scan_fires.eq(spikes.scan_fires),
            spikes.channel.eq(events.channel),
            spikes.channel_enable.eq(events.channel_enable),
            events.counts.eq(spikes.counts),
        ]
        return m


async def write_counts(ctx, dut, token, counts, rng, idle=0.2):
    """Write one token's counts as the encoder does."""
    lanes = PARAMS.encode_lanes
    groups = -(-len(counts) // lanes)
    padded = counts + [0] * (groups * lanes - len(counts))
    payloads = [
        {"token": token, "group": g, "counts": padded[g * lanes : (g + 1) * lanes]}
        for g in range(groups)
    ]
    await feed(ctx, dut.spikes.i, payloads, rng, idle)


NEW_BATCH = {"new_batch": 1, "tiles": 0}


async def write_batches(ctx, dut, batches, rng, idle=0.2):
    """Write batches as the encoder does: each one as soon as the event queue lets it in."""
    for batch in batches:
        extent = {"tokens": len(batch), "channels": len(batch[0])}
        await feed(ctx, dut.events.i_batch, [extent], rng, idle)
        for token, counts in enumerate(batch):
            await write_counts(ctx, dut, token, counts, rng, idle)


def run(batches, walks, rng, stall, params=PARAMS):
    """For each batch (a list of tokens' counts) return the events of its walks.

    `walks` are the tiles of each walk of a batch. Batches, walks and events overlap as they may.
    """
    dut = Pair(params)
    results = []

    async def drive_walks(ctx):
        payloads = []
        for _ in batches:
            payloads += [NEW_BATCH] + [{"new_batch": 0, "tiles": tiles} for tiles in walks]
        await feed(ctx, dut.events.i, payloads, rng, idle=0.1)

    async def drive_batches(ctx):
        await write_batches(ctx, dut, batches, rng)

    async def check(ctx):
        for batch in batches:
            firing = sum(any(column) for column in zip(*batch, strict=True))
            firing = firing if params.skip_silent else len(batch[0])
            raw = await collect(ctx, dut.events.o, sum(walks) * (firing + 1), rng, stall)
            results.append([event_layout(PARAMS).from_bits(bits) for bits in raw])

    simulate(dut, drive_walks, drive_batches, check)
    return results


def check_walks(batch, taken, walks, params=PARAMS):
    channels = len(batch[0])
    firing = list(range(channels))
    if params.skip_silent:
        firing = [k for k in firing if any(counts[k] for counts in batch)]
    expected = []
    for tiles in walks:
        for tile in range(tiles):
            for k in firing:
                padded = [counts[k] for counts in batch] + [0] * (PARAMS.tokens - len(batch))
                expected.append((k, padded, 0, 0))
            expected.append((channels, None, 1, tile == tiles - 1))
    got = [
        (e.channel, None if e.end else [e.counts[t] for t in range(PARAMS.tokens)], e.end, e.last)
        for e in taken
    ]
    assert got == expected


@pytest.mark.parametrize("skip_silent", [True, False])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_batches_of_every_kind(stall, skip_silent, seed):
    """Silent channels come too where they are not skipped, and none beyond the last."""
    params = replace(PARAMS, skip_silent=skip_silent)
    rng = random.Random(seed)

    def counts(channels, density):
        return [
            rng.choice([-127, -1, 1, 3, 127]) if rng.random() < density else 0
            for _ in range(channels)
        ]

    batches = []
    for channels in (1, 2, 15, 16, 17, 64, 333):
        for density in (0.0, 0.1, 1.0):
            tokens = rng.randint(1, PARAMS.tokens)
            batches.append([counts(channels, density) for _ in range(tokens)])
    # What an earlier, longer batch left must not show.
    batches.append([counts(600, 1.0), counts(600, 1.0)])
    batches.append([counts(5, 0.5)])
    walks = [2, 1, 3]
    results = run(batches, walks, rng, stall, params)
    for batch, taken in zip(batches, results, strict=True):
        check_walks(batch, taken, walks, params)


def walk_cycles(counts):
    """Cycles from the start to the end mark, never stalled."""
    dut = Pair()
    cycles = []

    async def check(ctx):
        ctx.set(dut.events.i.payload, NEW_BATCH)
        ctx.set(dut.events.i.valid, 1)
        await write_batches(ctx, dut, [[counts]], random.Random(0), idle=0)
        ctx.set(dut.events.i.payload, {"new_batch": 0, "tiles": 1})
        ctx.set(dut.events.o.ready, 1)
        for cycle in range(10_000):
            _, _, valid, end = await ctx.tick().sample(dut.events.o.valid, dut.events.o.payload.end)
            if valid and end:
                cycles.append(cycle)
                return

    simulate(dut, check)
    return cycles[0]


def test_silence_passes_at_scan_width_channels_a_cycle():
    channels = 1024
    assert walk_cycles([0] * channels) <= channels // PARAMS.scan_width + 4


def test_an_event_a_cycle():
    channels = 1024
    assert walk_cycles([1] * channels) <= channels + 4


@pytest.mark.parametrize("start", [0, 15, 16])
def test_sparse_events_hide_the_silence_between(start):
    counts = [0] * 1024
    counts[start::17] = [1] * len(counts[start::17])
    assert walk_cycles(counts) <= 2 * (1024 // PARAMS.scan_width) + 4


def test_unused_tokens_are_silent():
    rng = random.Random(1)
    results = run([[[1, 0, 1], [0, 1, 0]], [[0, 0, 1]]], [1], rng, 0.0)
    check_walks([[0, 0, 1]], results[1], [1])


def test_a_walk_follows_the_encoder():
    """Events come out while later channels are still being written, and none too early."""
    channels = 8 * PARAMS.scan_width
    batch = [[1] * channels, [0] * (channels - 1) + [5]]
    dut = Pair()
    seen, written = [], [0]

    async def drive(ctx):
        ctx.set(dut.events.i.payload, NEW_BATCH)
        ctx.set(dut.events.i.valid, 1)
        extent = {"tokens": 2, "channels": channels}
        await feed(ctx, dut.events.i_batch, [extent], random.Random(0), idle=0)
        ctx.set(dut.events.i.payload, {"new_batch": 0, "tiles": 1})
        await write_counts(ctx, dut, 0, batch[0], random.Random(0), idle=0)
        assert not seen
        for group in range(channels // PARAMS.encode_lanes):
            pair = batch[1][group * PARAMS.encode_lanes :][: PARAMS.encode_lanes]
            payload = {"token": 1, "group": group, "counts": pair}
            await feed(ctx, dut.spikes.i, [payload], random.Random(0), idle=0)
            written[0] += PARAMS.encode_lanes
            await ctx.tick().repeat(3)

    async def check(ctx):
        ctx.set(dut.events.o.ready, 1)
        while len(seen) <= channels:
            _, _, valid, event = await ctx.tick().sample(dut.events.o.valid, dut.events.o.payload)
            if valid:
                assert event.end or event.channel < written[0]
                seen.append((event.channel, event.counts[1]))
            early[0] += bool(valid) and written[0] < channels

    early = [0]
    simulate(dut, drive, check)
    assert seen[-2:] == [(channels - 1, 5), (channels, seen[-1][1])]
    assert early[0] > channels // 2
