"""The spike buffer and event queue: every firing channel once, in order, no silent one."""

import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.events import EventQueue, event_layout
from hw.presets import preset
from hw.spikes import SpikeBuffer
from tests.harness.streams import feed, simulate

PARAMS = preset("test")


class Pair(wiring.Component):
    """A spike buffer with its event queue."""

    def __init__(self):
        self.spikes, self.events = SpikeBuffer(PARAMS), EventQueue(PARAMS)
        super().__init__({"unused": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.spikes, m.submodules.events = spikes, events = self.spikes, self.events
        m.d.comb += [
            spikes.scan_address.eq(events.scan_address),
            spikes.scan_enable.eq(events.scan_enable),
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


def run(batches, tiles, rng, stall):
    """For each batch (a list of tokens' counts) return the events of `tiles` walks."""
    dut = Pair()
    results = []

    async def check(ctx):
        for batch in batches:
            for token, counts in enumerate(batch):
                await write_counts(ctx, dut, token, counts, rng)
            channels = len(batch[0])
            ctx.set(dut.spikes.tokens, len(batch))
            ctx.set(dut.events.channels, channels)
            ctx.set(dut.events.i_start.payload, tiles)
            ctx.set(dut.events.i_start.valid, 1)
            firing = sum(any(column) for column in zip(*batch, strict=True))
            started = []

            taken = []
            waiting = None
            while len(taken) < tiles * (firing + 1):
                ready = rng.random() >= stall
                ctx.set(dut.events.o.ready, ready)
                _, _, valid, payload, done = await ctx.tick().sample(
                    dut.events.o.valid, dut.events.o.payload, dut.events.i_start.ready
                )
                bits = payload.as_value().value if hasattr(payload, "as_value") else payload
                assert waiting in (None, bits) or not valid
                waiting = bits if valid and not ready else None
                if done:
                    ctx.set(dut.events.i_start.valid, 0)
                    started.append(1)
                if valid and ready:
                    taken.append(event_layout(PARAMS).from_bits(bits))
            ctx.set(dut.events.o.ready, 0)
            assert started == [1]
            results.append(taken)

    simulate(dut, check)
    return results


def check_walks(batch, taken, tiles):
    channels = len(batch[0])
    firing = [k for k in range(channels) if any(counts[k] for counts in batch)]
    expected = []
    for _ in range(tiles):
        for k in firing:
            padded = [counts[k] for counts in batch] + [0] * (PARAMS.tokens - len(batch))
            expected.append((k, padded, 0))
        expected.append((channels, None, 1))
    got = [
        (e.channel, None if e.end else [e.counts[t] for t in range(PARAMS.tokens)], e.end)
        for e in taken
    ]
    assert got == expected


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_batches_of_every_kind(stall, seed):
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
    results = run(batches, 2, rng, stall)
    for batch, taken in zip(batches, results, strict=True):
        check_walks(batch, taken, 2)


def walk_cycles(counts):
    """Cycles from the start to the end mark, never stalled."""
    dut = Pair()
    cycles = []

    async def check(ctx):
        await write_counts(ctx, dut, 0, counts, random.Random(0), idle=0)
        ctx.set(dut.spikes.tokens, 1)
        ctx.set(dut.events.channels, len(counts))
        ctx.set(dut.events.i_start.payload, 1)
        ctx.set(dut.events.i_start.valid, 1)
        ctx.set(dut.events.o.ready, 1)
        await ctx.tick()
        ctx.set(dut.events.i_start.valid, 0)
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
    results = run([[[1, 0, 1], [0, 1, 0]], [[0, 0, 1]]], 1, rng, 0.0)
    check_walks([[0, 0, 1]], results[1], 1)
