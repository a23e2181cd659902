"""The sequencer with the PE array: whole tiles against golden, and an operation a cycle."""

import random
from collections import deque
from dataclasses import replace
from itertools import count as count_from

import pytest
import torch
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from golden.numerics.accumulation import accumulate
from golden.numerics.codings import encode
from hw.contract.isa import Coding
from hw.contract.presets import preset
from hw.matmul.array import PEArray
from hw.matmul.sequencer import Sequencer
from hw.spike.train import SpikeTrain
from tests.harness.streams import feed, simulate

PARAMS = preset("test")
LANES, TOKENS, GROUP = PARAMS.lanes, PARAMS.tokens, PARAMS.encode_lanes


class Core(wiring.Component):
    """Spike trains, sequencer and array, as the matrix path ties them."""

    def __init__(self, params):
        self.train = SpikeTrain(params)
        self.sequencer = Sequencer(params)
        self.array = PEArray(params)
        super().__init__({"unused": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.train = self.train
        m.submodules.sequencer = self.sequencer
        m.submodules.array = self.array
        connect(m, self.train.o, self.sequencer.i)
        connect(m, self.sequencer.o, self.array.i)
        m.d.comb += [
            self.sequencer.array_idle.eq(self.array.idle),
            self.sequencer.array_storing.eq(self.array.storing),
        ]
        return m


class Tile:
    """Random events and weights of one tile, and what they must come to."""

    def __init__(self, rng, outputs, events, coding, values, params=PARAMS):
        self.outputs = outputs
        self.beats = -(-outputs // LANES)
        self.counts = []
        while len(self.counts) < events:
            column = [rng.choice(values) for _ in range(TOKENS)]
            if any(column) or not params.skip_silent:
                self.counts.append(column)
        extremes = [-127, 127, 0, 1]
        self.rows = [
            [rng.choice([*extremes, rng.randint(-127, 127)]) for _ in range(self.beats * LANES)]
            for _ in range(events)
        ]
        counts = torch.tensor(self.counts, dtype=torch.int8).reshape(events, TOKENS)
        codes = torch.tensor(self.rows, dtype=torch.int8).reshape(events, self.beats * LANES)
        psums = accumulate(counts.T.contiguous(), codes.T.contiguous())
        self.psums = psums[:, :outputs].tolist()
        spikes = encode(counts, coding.name.lower(), 127 if coding == Coding.UNARY else 8)
        self.additions = int((spikes != 0).sum()) * outputs
        # Steps in which any token fires, each of one cycle for each beat.
        steps = (spikes != 0).any(dim=2).sum(dim=0)  # (events,)
        if params.array == "mac":  # a product of every token's count, in one step
            steps = torch.ones(events, dtype=torch.int64)
            self.additions = int((counts != 0).sum()) * outputs
        self.cycles = int(steps.clamp(min=1).sum()) * self.beats


def run(tiles, coding, rng, idle, params=PARAMS, adds_in=None):
    """Run the tiles of one MATMUL; return the psums read, the additions counted, the cycles.

    Into `adds_in` goes the number of each cycle in which there is an operation.
    """
    dut = Core(params)
    full = PARAMS.tile_outputs
    last = tiles[-1]
    read, additions, cycles, finished = [], [0], [0], []
    queued = deque()

    async def drive_events(ctx):
        extent = {"outputs": full, "row_beats": full // LANES, "row_words": 0}
        end = {"outputs": last.outputs, "row_beats": last.beats, "row_words": 0}
        tiling = {"tiles": len(tiles), "single": len(tiles) == 1, "full": extent, "last": end}
        ctx.set(dut.sequencer.i_matmul.payload, {"coding": coding, "tiling": tiling})
        ctx.set(dut.sequencer.i_matmul.valid, 1)
        ctx.set(dut.train.i_coding.payload, coding)
        ctx.set(dut.train.i_coding.valid, 1)
        payloads = []
        for tile in tiles:
            event = {"channel": 0, "end": 0, "last": 0}
            payloads += [{**event, "counts": column} for column in tile.counts]
            mark = {"end": 1, "last": tile is tiles[-1], "counts": [0] * TOKENS}
            payloads.append({**event, **mark})
        await feed(ctx, dut.train.i, payloads, rng, idle)

    async def drive_beats(ctx):
        beats = [
            row[start : start + LANES]
            for tile in tiles
            for row in tile.rows
            for start in range(0, len(row), LANES)
        ]
        await feed(ctx, dut.sequencer.i_beats, beats, rng, idle)

    async def queue_tiles(ctx):
        """Take finished tiles at once, so that nothing but the halves holds the next ones up."""
        ctx.set(dut.sequencer.o_tile.ready, 1)
        for _ in tiles:
            queued.append(await finished_tile(ctx, dut.sequencer.o_tile))

    async def drain(ctx):
        for tile in tiles:
            while not queued:
                await ctx.tick()
            half, empty = queued.popleft()
            psums = []
            for token in range(TOKENS):
                psums.append([])
                for output in range(0, tile.outputs, GROUP):
                    ctx.set(dut.array.half, half)
                    ctx.set(dut.array.bank, output // LANES)
                    ctx.set(dut.array.group, output % LANES // GROUP)
                    ctx.set(dut.array.token, token)
                    ctx.set(dut.array.enable, 1)
                    ready = False
                    while not ready:
                        _, _, ready = await ctx.tick().sample(dut.array.ready)
                    ctx.set(dut.array.enable, 0)
                    ctx.set(dut.array.take, 1)
                    await ctx.tick()
                    ctx.set(dut.array.take, 0)
                    group = [ctx.get(dut.array.psums[lane]) for lane in range(GROUP)]
                    psums[-1] += [0] * GROUP if empty else group
                del psums[-1][tile.outputs :]
            ctx.set(dut.array.enable, 0)
            ctx.set(dut.sequencer.release, 1 << half)
            await ctx.tick()
            ctx.set(dut.sequencer.release, 0)
            read.append(psums)
        finished.append(1)

    async def count(ctx):
        for cycle in count_from(0):
            if finished:
                break
            _, _, valid, adds = await ctx.tick().sample(
                dut.sequencer.o.valid, dut.array.synaptic_operations
            )
            cycles[0] += valid
            if valid and adds_in is not None:
                adds_in.append(cycle)
            additions[0] += adds

    simulate(dut, drive_events, drive_beats, queue_tiles, drain, count)
    return read, additions[0], cycles[0]


async def finished_tile(ctx, o_tile):
    """Wait for a tile; return its half and whether it is empty."""
    while True:
        _, _, valid, payload = await ctx.tick().sample(o_tile.valid, o_tile.payload)
        if valid:
            return payload.half, payload.empty


@pytest.mark.parametrize("coding", list(Coding))
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_tiles_equal_golden(coding, idle, seed):
    rng = random.Random(seed)
    values = [0, 0, 1, -1, 2, -3, 5] if coding == Coding.UNARY else list(range(-127, 128))
    full = PARAMS.tile_outputs
    tiles = [
        Tile(rng, full, 6, coding, values),
        Tile(rng, full, 0, coding, values),
        Tile(rng, full, 1, coding, values),
        Tile(rng, full, 3, coding, values),
        Tile(rng, full, 0, coding, values),  # in a half that still holds another tile
        Tile(rng, rng.choice([1, LANES - 1, LANES, LANES + 1, full]), 9, coding, values),
    ]
    read, additions, cycles = run(tiles, coding, rng, idle)
    assert read == [tile.psums for tile in tiles]
    assert additions == sum(tile.additions for tile in tiles)
    assert cycles == sum(tile.cycles for tile in tiles)


@pytest.mark.parametrize("array", ["spike", "mac"])
@pytest.mark.parametrize("skip_silent", [True, False])
@pytest.mark.parametrize("coding", list(Coding))
def test_the_opponents_tiles_equal_golden(array, skip_silent, coding, seed):
    """A MAC array, and either array where silent channels come too."""
    params = replace(PARAMS, array=array, skip_silent=skip_silent)
    rng = random.Random(seed)
    values = [0, 0, 1, -1, 2, -3, 127] if coding == Coding.UNARY else list(range(-127, 128))
    full = PARAMS.tile_outputs
    tiles = [
        Tile(rng, outputs, events, coding, values, params)
        for outputs, events in ((full, 9), (full, 0), (full, 1), (LANES + 1, 20))
    ]
    if not skip_silent:
        tiles.insert(1, Tile(rng, full, 5, coding, [0], params))
        assert not any(any(psums) for psums in tiles[1].psums)
    read, additions, cycles = run(tiles, coding, rng, 0.2, params)
    assert read == [tile.psums for tile in tiles]
    assert additions == sum(tile.additions for tile in tiles)
    assert cycles == sum(tile.cycles for tile in tiles)


@pytest.mark.parametrize("coding", list(Coding))
@pytest.mark.parametrize("outputs", [1, LANES, LANES + 1, 2 * LANES + 1])
def test_short_rows_return_to_the_same_bank_at_once(coding, outputs, seed):
    rng = random.Random(seed)
    tiles = [Tile(rng, outputs, 12, coding, [0, 1, -1, 2, -2, 3, 127])]
    read, additions, _ = run(tiles, coding, rng, 0.0)
    assert read == [tiles[0].psums]
    assert additions == tiles[0].additions


@pytest.mark.parametrize(("beats", "waits"), [(1, 0), (2, 1), (3, 0), (4, 0)])
def test_only_pairs_of_single_steps_wait(beats, waits, seed):
    """One operation a cycle; of two beats the first one waits until it is stored."""
    rng = random.Random(seed)
    tile = Tile(rng, beats * LANES, 12, Coding.CSD, [1, -1])
    adds_in = []
    read, _, _ = run([tile], Coding.CSD, rng, 0.0, adds_in=adds_in)
    assert read == [tile.psums]
    assert adds_in[-1] - adds_in[0] + 1 == 12 * beats + 11 * waits


def test_the_accumulator_holds_the_largest_sum(seed):
    """Every channel at D with every weight at its extreme, on the fewest channels that differ."""
    assert 127 * 127 * PARAMS.max_channels < 1 << PARAMS.acc_width - 1
    rng = random.Random(seed)
    tile = Tile(rng, LANES, PARAMS.max_channels, Coding.CSD, [-127])
    tile.rows = [[-127] * LANES for _ in tile.rows]
    read, _, _ = run([tile], Coding.CSD, rng, 0.0)
    assert read == [[[127 * 127 * PARAMS.max_channels] * LANES] * TOKENS]
