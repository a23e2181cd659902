"""The drain: each output of each tile once, with its channel and threshold, to its place."""

import random
from dataclasses import dataclass, replace

import pytest

from hw.contract.isa import Offsets
from hw.contract.presets import preset
from hw.matmul.drain import Drain, drained_layout
from hw.memory.write import row_layout
from tests.harness.streams import collect, feed, simulate

TEST = preset("test")
VARIANTS = {
    "test": TEST,
    "one token": replace(TEST, tokens=1),
    "five tokens": replace(TEST, tokens=5),
    "a bank is a word": replace(TEST, axi_data_width=256, banks=16),
    "one bank": replace(TEST, banks=1, lanes=32),
}


@dataclass
class Tile:
    """A finished tile: its accumulators (tokens, outputs), its channels, and if it is untouched."""

    psums: list[list[int]]
    channels: list[dict[str, int]]
    empty: bool


def tile_of(params, rng, outputs):
    """Random accumulators and channels, for whole memory words of results."""
    outputs += -outputs % params.encode_lanes
    half = 1 << params.acc_width - 1
    return Tile(
        [[rng.randrange(-half, half) for _ in range(outputs)] for _ in range(params.tokens)],
        [
            {
                "mantissa": rng.getrandbits(16),
                "exponent": rng.getrandbits(8),
                "bias": rng.randrange(-(1 << 31), 1 << 31),
            }
            for _ in range(outputs)
        ],
        rng.random() < 0.3,
    )


class Matmul:
    """Random tiles of one MATMUL, where their outputs go, and what must leave the drain."""

    def __init__(self, params, rng, outputs, tokens, bank=0):
        self.params, self.tokens, self.bank = params, tokens, bank
        self.destination = rng.randrange(1 << 20) * params.axi_bytes
        self.stride = rng.randrange(1 << 12) * params.axi_bytes
        self.scales = [
            {"mantissa": rng.getrandbits(16), "exponent": rng.randrange(params.threshold_width)}
            for _ in range(params.tokens)
        ]
        self.sizes = params.tiles(outputs)
        self.tiles = [tile_of(params, rng, size) for size in self.sizes]

    def share(self):
        """Return what the drain is told of it."""
        full, last = {"outputs": self.params.tile_outputs}, {"outputs": self.sizes[-1]}
        return {
            "destination": self.destination,
            "destination_stride": self.stride,
            "tokens": self.tokens,
            "bank": self.bank,
            "tiling": {
                "tiles": len(self.sizes),
                "single": len(self.sizes) == 1,
                "full": full,
                "last": last,
            },
        }

    def rows(self):
        """Return (word address, elements) of each row."""
        rows = []
        for index, size in enumerate(self.sizes):
            start = self.destination + 4 * self.params.tile_outputs * index
            for token in range(self.tokens):
                rows.append(((start + token * self.stride) // self.params.axi_bytes, size))
        return rows

    def words(self):
        """Return (psum, channel, threshold) of each element, by word."""
        lanes = self.params.encode_lanes
        return [
            [
                (0 if tile.empty else tile.psums[token][index], tile.channels[index], scale)
                for index in range(start, min(start + lanes, size))
            ]
            for size, tile in zip(self.sizes, self.tiles, strict=True)
            for token, scale in enumerate(self.scales[: self.tokens])
            for start in range(0, size, lanes)
        ]


class Bench:
    """A drain between finished tiles, two halves of accumulators, and what takes its rows."""

    def __init__(self, params, matmuls, rng, idle=0.0, stall=0.0, loads=0.0):
        self.params, self.matmuls = params, matmuls
        self.dut = Drain(params)
        self.rows, self.words = [], []
        self.cycles = 0
        self._halves = [None, None]
        self._rng, self._idle, self._stall, self._loads = rng, idle, stall, loads

    def run(self):
        simulate(self.dut, self._tiles, self._take_rows, self._take, background=[self._banks])
        return self

    async def _banks(self, ctx):
        """Accumulators and channel words, read a cycle late; forgotten once released.

        Where the array is not ready, an operation loads: what was read is gone.
        """
        dut, lanes = self.dut, self.params.encode_lanes
        groups = self.params.lanes // lanes
        sampled = (dut.half, dut.bank, dut.token, dut.group, dut.enable, dut.ready)
        sampled += (dut.channel_group, dut.channel_half, dut.channel_enable, dut.release)
        sampled += (dut.release_words,)
        shown = None
        while True:
            ctx.set(dut.ready, self._rng.random() >= self._loads)
            (
                *_,
                half,
                bank,
                token,
                group,
                enable,
                ready,
                channel_group,
                channel_half,
                take,
                release,
                release_words,
            ) = await ctx.tick().sample(*sampled)
            if take:
                ctx.set(dut.psums, shown)
                start = channel_group * lanes
                ctx.set(dut.channels, self._halves[channel_half].channels[start : start + lanes])
            if enable and ready:
                tile = self._halves[half]
                start = (bank * groups + group) * lanes
                shown = tile.psums[token][start : start + lanes]
            elif not ready:
                shown = [-1] * lanes
            assert release_words == release  # every tile has both
            for half in range(2):
                if release >> half & 1:
                    assert self._halves[half], "a half was released that holds nothing"
                    self._halves[half] = None

    async def _tiles(self, ctx):
        half = 0
        for matmul in self.matmuls:
            await self._begin(ctx, matmul)
            for index, tile in enumerate(matmul.tiles):
                self._halves[half] = tile
                await self._tile(ctx, half, tile, index == len(matmul.tiles) - 1)
                half ^= 1
            ctx.set(self.dut.i_matmul.valid, 0)

    async def _begin(self, ctx, matmul):
        """Offer a MATMUL; its thresholds may come later."""
        dut = self.dut
        ctx.set(dut.scales[1 - matmul.bank], [{"mantissa": 1, "exponent": 1}] * self.params.tokens)
        ctx.set(dut.scales[matmul.bank], matmul.scales)
        ctx.set(dut.scales_ready, 1 << 1 - matmul.bank)
        ctx.set(dut.i_matmul.payload, matmul.share())
        ctx.set(dut.i_matmul.valid, 1)

    async def _tile(self, ctx, half, tile, last):
        """Offer a tile until it is taken; its channel words and thresholds may come later."""
        dut = self.dut
        ctx.set(dut.i_tile.payload, {"half": half, "empty": tile.empty})
        ctx.set(dut.i_tile.valid, 1)
        bank = ctx.get(dut.i_matmul.payload.bank)
        waits = [(dut.loaded, 1 << half), (dut.scales_ready, 1 << bank)]
        waits = [(signal, value) for signal, value in waits if ctx.get(signal) != value]
        self._rng.shuffle(waits)
        for signal, value in waits:
            while self._rng.random() < self._idle:
                await ctx.tick()
            ctx.set(signal, value)
        taken = False
        while not taken:
            _, _, taken, matmul_taken, busy = await ctx.tick().sample(
                dut.i_tile.ready, dut.i_matmul.ready, dut.busy
            )
            assert busy
            assert matmul_taken == (taken and last)
            self.cycles += 1
        ctx.set(dut.i_tile.valid, 0)
        ctx.set(dut.loaded, 0)

    async def _take_rows(self, ctx):
        count = sum(len(matmul.rows()) for matmul in self.matmuls)
        self.rows = await collect(ctx, self.dut.o_row, count, self._rng, self._stall)

    async def _take(self, ctx):
        count = sum(len(matmul.words()) for matmul in self.matmuls)
        self.words = await collect(ctx, self.dut.o, count, self._rng, self._stall)


def row_of(params, raw):
    row = row_layout(params).from_bits(raw)
    assert row.first == 0 and row.bytes % 4 == 0
    return row.address, row.bytes // 4


def word_of(params, raw, count):
    """Return (psum, channel, threshold) of a word's first elements."""
    word = drained_layout(params).from_bits(raw)
    threshold = {name: word.threshold[name] for name in ("mantissa", "exponent")}
    return [
        (
            word.psums[lane],
            {name: word.channels[lane][name] for name in ("mantissa", "exponent", "bias")},
            threshold,
        )
        for lane in range(count)
    ]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "idle, stall, loads",
    [(0.0, 0.0, 0.0), (0.8, 0.0, 0.5), (0.0, 0.6, 0.7), (0.5, 0.3, 0.0), (0.0, 0.6, 0.2)],
)
def test_every_output_leaves_once(name, idle, stall, loads, seed):
    rng = random.Random(seed)
    params = VARIANTS[name]
    full = params.tile_outputs
    matmuls = [
        Matmul(params, rng, outputs, tokens, rng.getrandbits(1))
        for outputs in (1, full, 2 * full + 1, 2 * full - 1, 3)
        for tokens in {1, params.tokens}
    ]
    bench = Bench(params, matmuls, rng, idle, stall, loads).run()
    expected = [row for matmul in matmuls for row in matmul.rows()]
    assert [row_of(params, raw) for raw in bench.rows] == expected
    expected = [word for matmul in matmuls for word in matmul.words()]
    for index, (raw, word) in enumerate(zip(bench.words, expected, strict=True)):
        assert word_of(params, raw, len(word)) == word, index


@pytest.mark.parametrize("outputs", [1, 5, 32])
@pytest.mark.parametrize("tokens", [1, 2])
def test_timing(outputs, tokens):
    rng = random.Random(0)
    bench = Bench(TEST, [Matmul(TEST, rng, outputs, tokens)], rng).run()
    words = -(-outputs // TEST.encode_lanes)
    assert bench.cycles == tokens * (words + 1) + 2


def test_latency():
    dut = Drain(TEST)
    matmul = Matmul(TEST, random.Random(0), 4, 1)

    async def check(ctx):
        ctx.set(dut.i_matmul.payload, matmul.share())
        ctx.set(dut.i_matmul.valid, 1)
        ctx.set(dut.o_row.ready, 1)
        ctx.set(dut.ready, 1)
        ctx.set(dut.loaded, 0b01)
        ctx.set(dut.scales_ready, 0b01)
        assert not ctx.get(dut.busy)
        ctx.set(dut.i_tile.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, check)


SCALE_FORMS = [(3, "NONE"), (3, "ZERO"), (4, "NONE"), (4, "MINIMUM")]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("loads, stall", [(0.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("width_log2, offsets", SCALE_FORMS)
def test_a_group_meets_its_scales(name, loads, stall, width_log2, offsets, seed):
    """Each word of outputs of each token once, with the scales of these outputs."""
    rng = random.Random(seed)
    p = VARIANTS[name]
    lanes, width, has_offsets = p.encode_lanes, 1 << width_log2, offsets != "NONE"
    outputs, tokens = rng.randint(1, p.tile_outputs), rng.randint(1, p.tokens)
    words = -(-outputs // lanes)
    tile = tile_of(p, rng, outputs)
    low, high = (0, (1 << width) - 1) if has_offsets else (-(1 << width - 1), (1 << width - 1) - 1)
    d = [rng.choice([low, high, rng.randint(low, high)]) for _ in range(words * lanes)]
    half = 1 << width - 1
    offset = [rng.randint(-half, half - 1) for _ in d]
    spike_sums = [rng.randint(-99, 99) for _ in range(p.tokens)]
    bits = width << has_offsets
    whole = sum(
        (a % (1 << width) | (b % (1 << width) << width if has_offsets else 0)) << bits * index
        for index, (a, b) in enumerate(zip(d, offset, strict=True))
    )
    memory_words = -(-words * lanes * bits // p.axi_data_width)
    mask = (1 << p.axi_data_width) - 1
    scale_words = [whole >> p.axi_data_width * index & mask for index in range(memory_words)]
    dut = Drain(p)
    seen = []

    async def give_scales(ctx):
        await feed(ctx, dut.i_scales, scale_words, rng, stall)

    async def array(ctx):
        shown, groups = None, p.lanes // lanes
        sampled = (dut.bank, dut.token, dut.group, dut.enable, dut.ready, dut.take)
        while True:
            ctx.set(dut.ready, rng.random() >= loads)
            *_, bank, token, group, enable, ready, take = await ctx.tick().sample(*sampled)
            if take:
                ctx.set(dut.psums, shown)
            if enable and ready:
                start = (bank * groups + group) * lanes
                shown = tile.psums[token][start : start + lanes]
            elif not ready:
                shown = [-1] * lanes

    async def check(ctx):
        extent = {"outputs": outputs}
        tiling = {"tiles": 1, "single": 1, "full": {"outputs": p.tile_outputs}, "last": extent}
        form = {"scale_width_log2": width_log2, "offsets": Offsets[offsets].value}
        share = {"tokens": tokens, "tiling": tiling, "offset_shift": 5, **form}
        ctx.set(dut.i_matmul.payload, share)
        ctx.set(dut.i_matmul.valid, 1)
        ctx.set(dut.scaler_busy, 1)
        finished = {"half": 1, "group": 1, "first": 1, "spike_sums": spike_sums}
        ctx.set(dut.i_tile.payload, finished)
        ctx.set(dut.i_tile.valid, 1)
        for _ in range(5):
            assert not ctx.get(dut.enable)  # the group before is still inside
            await ctx.tick()
        ctx.set(dut.scaler_busy, 0)
        taken = False
        while not taken:
            _, _, taken, release, matmul = await ctx.tick().sample(
                dut.i_tile.ready, dut.release, dut.i_matmul.ready
            )
            assert release == (0b10 if taken else 0) and not matmul
        ctx.set(dut.i_tile.valid, 0)
        await ctx.tick()

    async def watch(ctx):
        while True:
            _, _, valid, given, psums = await ctx.tick().sample(
                dut.o_group_valid, dut.o_group, dut.psums
            )
            if valid:
                scales = [(given.scales[i].d, given.scales[i].offset) for i in range(lanes)]
                flags = (given.first, given.zero, given.minimum, given.offset_shift)
                assert flags == (1, offsets == "ZERO", offsets == "MINIMUM", 5)
                psums = [psums[lane] for lane in range(lanes)]
                seen.append((given.index, given.spike_sum, psums, scales))

    simulate(dut, give_scales, check, background=[array, watch])
    assert [entry[0] for entry in seen] == [
        word * p.tokens + token for word in range(words) for token in range(tokens)
    ]
    for place, spike_sum, psums, scales in seen:
        word, token = divmod(place, p.tokens)
        part = slice(word * lanes, word * lanes + lanes)
        assert spike_sum == spike_sums[token] and psums == tile.psums[token][part]
        own = offset[part] if has_offsets else [0] * lanes
        assert scales == list(zip(d[part], own, strict=True))
