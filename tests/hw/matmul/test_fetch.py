"""The fetcher asks for exactly the row segments of the events, tile after tile."""

import random
from dataclasses import dataclass

import pytest

from hw.contract.params import GROUPS
from hw.contract.presets import preset
from hw.matmul.fetch import Fetcher, row_words_layout
from hw.memory.port import segment_layout
from tests.harness.streams import collect, feed, latency, simulate

PARAMS = preset("test")


@dataclass
class Matmul:
    """What is fetched for one MATMUL: the same events for each tile."""

    base: int
    events: list[int]
    channels: int
    tiles: int
    full_words: int
    last_words: int
    weight_width: int
    strided: bool = False
    group: int = 0  # its field
    full_scales: int = 0  # words of the scales of a group
    last_scales: int = 0

    def share(self):
        """Return what the fetcher is told of it."""
        extent = {"outputs": 0, "row_beats": 0}
        tiling = {
            "tiles": self.tiles,
            "single": self.tiles == 1,
            "full": {**extent, "row_words": self.full_words, "scale_words": self.full_scales},
            "last": {**extent, "row_words": self.last_words, "scale_words": self.last_scales},
        }
        return {
            "base": self.base,
            "tiling": tiling,
            "weight_width": self.weight_width,
            "strided": self.strided,
            "group": self.group,
        }

    def walk(self):
        """Return what the event queue hands over: each tile's events, and its end mark."""
        handed = []
        for tile in range(self.tiles):
            for k, ends in self.marked():
                handed.append({"channel": k, "end": 0, "last": 0, "group_end": 0})
                if ends:
                    handed.append({"channel": k, "end": 0, "last": 0, "group_end": 1})
            handed.append({"channel": self.channels, "end": 1, "last": tile == self.tiles - 1})
        return handed

    def segments(self):
        """Return (address, words, whether it is scales) of every segment, tile after tile."""
        expected, base = [], self.base
        size = GROUPS[self.group - 1] if self.group else self.channels
        for tile in range(self.tiles):
            last = tile == self.tiles - 1
            words, scales = self.full_words, self.full_scales
            if last:
                words, scales = self.last_words, self.last_scales
            pitch = self.full_words if self.strided else words
            spread = self.full_scales if self.strided else scales
            whole = size * pitch + (spread if self.group else 0)  # a group, scales behind rows
            for k, ends in self.marked():
                group = base + k // size * whole
                expected.append((group + k % size * pitch, words, 0))
                if ends:
                    expected.append((group + size * pitch, scales, 1))
            base += -(-self.channels // size) * whole
        return expected

    def marked(self):
        """Return each event's channel, and whether its group ends with it."""
        size = GROUPS[self.group - 1] if self.group else 0
        following = [*self.events, None][1:]
        return [
            (k, bool(size) and (after is None or after // size != k // size))
            for k, after in zip(self.events, following, strict=True)
        ]


def random_matmul(rng, tiles, channels, empty, strided, group):
    events = [] if empty else {0, channels - 1, *(rng.randrange(channels) for _ in range(9))}
    return Matmul(
        base=rng.getrandbits(36),
        events=sorted(events),
        channels=channels,
        tiles=tiles,
        full_words=(full_words := rng.choice([1, 2, 4])),
        last_words=rng.randint(1, full_words if strided else 4),
        weight_width=rng.choice([8, 4, 2]),
        strided=strided,
        group=group,
        full_scales=(full_scales := rng.choice([1, 2, 4, 16]) if group else 0),
        last_scales=rng.randint(1, full_scales) if group else 0,
    )


@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.6), (0.3, 0.3)])
def test_matmuls_one_after_the_other(idle, stall, seed):
    rng = random.Random(seed)
    matmuls = [
        random_matmul(rng, tiles, channels, empty, strided, group)
        for tiles in (1, 2, 3, 7)
        for channels in (1, 64, PARAMS.max_channels)
        for empty in (False, True)
        for strided in (False, True)
        for group in (0, rng.randint(1, len(GROUPS)))
    ]
    segments = [segment for matmul in matmuls for segment in matmul.segments()]
    dut = Fetcher(PARAMS)
    taken, rows = [], []

    async def drive_matmuls(ctx):
        await feed(ctx, dut.i_matmul, [matmul.share() for matmul in matmuls], rng, idle)

    async def drive(ctx):
        handed = [payload for matmul in matmuls for payload in matmul.walk()]
        await feed(ctx, dut.i, handed, rng, idle)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(segments), rng, stall, sticky=True))

    async def check_rows(ctx):
        rows.extend(await collect(ctx, dut.o_rows, len(segments), rng, stall, sticky=True))

    simulate(dut, drive_matmuls, drive, check, check_rows)
    got = [segment_layout(PARAMS).from_bits(raw) for raw in taken]
    assert [(segment.address, segment.words) for segment in got] == [s[:2] for s in segments]
    got = [row_words_layout(PARAMS).from_bits(raw) for raw in rows]
    widths = [matmul.weight_width for matmul in matmuls for _ in matmul.segments()]
    extents = [(s[1], width, s[2]) for s, width in zip(segments, widths, strict=True)]
    assert [(row.words, row.weight_width, row.scales) for row in got] == extents


def test_nothing_is_taken_before_its_matmul():
    dut = Fetcher(PARAMS)

    async def check(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, check)


def test_timing():
    """An event or end mark a cycle, from one MATMUL to the next too."""
    dut = Fetcher(PARAMS)
    matmul = Matmul(0, list(range(20)), 20, 2, 4, 4, 8)

    async def drive_matmuls(ctx):
        await feed(ctx, dut.i_matmul, [matmul.share()] * 4, random.Random(0), 0.0)

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.o_rows.ready, 1)
        first, *others = matmul.walk() * 3
        await ctx.tick()
        assert await latency(ctx, dut.i, dut.o, first) == 3
        for payload in others:
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.i.valid, 1)
            assert ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, check, background=[drive_matmuls])
