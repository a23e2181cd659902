"""The cache writer: each code and scale word at its place, and no other byte."""

import random
from dataclasses import dataclass, replace

import pytest

from hw.contract.isa import Cache, Opcode
from hw.contract.presets import preset
from hw.memory.write import row_layout
from hw.spike.kv_cache import CacheWriter
from tests.harness.streams import collect, feed, simulate

TEST = preset("test")
VARIANTS = {
    "test": TEST,
    "128 bits": replace(TEST, axi_data_width=128, banks=8),
    "256 bits": replace(TEST, axi_data_width=256, banks=16),
    "a tile is a word": replace(TEST, banks=1, weight_widths=(8,)),
    "a beat is half a word": replace(TEST, lanes=4, banks=16),
    "a beat is eight words": replace(TEST, lanes=64, banks=1),
}


@dataclass
class Store:
    """One STORE: the codes of its heads, their thresholds as (mantissa, exponent), its places."""

    cache: Cache
    position: int
    heads: list[list[int]]
    scales: list[tuple[int, int]]
    codes: int
    codes_stride: int
    scale_words: int
    scales_stride: int

    def instruction(self):
        return {
            "opcode": Opcode.STORE,
            "cache": self.cache,
            "heads": len(self.heads),
            "channels": len(self.heads[0]),
            "codes": self.codes,
            "codes_stride": self.codes_stride,
            "scales": self.scale_words,
            "scales_stride": self.scales_stride,
        }

    def expected(self, params):
        """Return the bytes that must be written, by address: `isa.PSEUDOCODE` of STORE."""
        written = {}
        tile, column = divmod(self.position, params.tile_outputs)
        for head, (codes, (mantissa, exponent)) in enumerate(
            zip(self.heads, self.scales, strict=True)
        ):
            address = self.scale_words + head * self.scales_stride + 4 * self.position
            word = mantissa | (40 - exponent) << 16
            written |= dict(enumerate(word.to_bytes(4, "little"), address))
            base = self.codes + head * self.codes_stride
            for d, code in enumerate(codes):
                if self.cache is Cache.KEY:
                    place = (tile * len(codes) + d) * params.tile_outputs + column
                else:
                    place = self.position * params.row_bytes(len(codes), 8) + d
                assert base + place not in written
                written[base + place] = code % 256
        return written


def store_of(params, rng, cache, position, heads, channels):
    place = params.axi_bytes * rng.randrange(1 << 20)
    size = 1 << 31  # of what lies at one place
    return Store(
        cache,
        position,
        [[rng.choice([-127, 127, 0, rng.randint(-127, 127)]) for _ in range(channels)]
         for _ in range(heads)],
        [(rng.randrange(1 << 15, 1 << 16), rng.choice([9, 40, rng.randint(9, 40)]))
         for _ in range(heads)],
        size + place,
        params.axi_bytes * rng.randint(1 << 17, 1 << 18),
        3 * size + place,
        params.axi_bytes * rng.randint(1 << 15, 1 << 16),
    )  # fmt: skip


class Bench:
    """A cache writer behind an encoder of heads, and the memory that its rows come to."""

    def __init__(self, params, stores, rng, idle=0.0, stall=0.0):
        self.params, self.stores = params, stores
        self.dut = CacheWriter(params)
        self.memory = {}
        self.cycles = 0  # after the last count or threshold of the last head
        self._rng, self._idle, self._stall = rng, idle, stall

    def run(self):
        simulate(self.dut, self._drive, self._encode, background=[self._write])
        return self.memory

    async def _drive(self, ctx):
        dut = self.dut
        for store in self.stores:
            ctx.set(dut.position, store.position)
            await feed(ctx, dut.i, [store.instruction()], self._rng, self._idle)
            assert ctx.get(dut.busy)
            ctx.set(dut.i.payload, {"channels": 1, "heads": 1})  # its own from here on
            ctx.set(dut.position, self._rng.getrandbits(16))
            if self._rng.random() < 0.5:
                await ctx.tick().until(~dut.busy)
        await ctx.tick().until(~dut.busy)

    async def _encode(self, ctx):
        for store in self.stores:
            for codes, scale in zip(store.heads, store.scales, strict=True):
                await feed(ctx, self.dut.i_head, [0], self._rng, self._idle)
                await self._fire(ctx, codes, scale)
        self.cycles = 0
        while ctx.get(self.dut.busy):
            await ctx.tick()
            self.cycles += 1

    async def _fire(self, ctx, codes, scale):
        """Give a head's counts in order, and its threshold before, among or after them."""
        dut, rng, lanes = self.dut, self._rng, self.params.encode_lanes
        groups = [codes[start : start + lanes] for start in range(0, len(codes), lanes)]
        scale_after = rng.randint(0, len(groups) + 3)
        for index in range(max(len(groups), scale_after + 1)):
            while rng.random() < self._idle:
                await ctx.tick()
            if index < len(groups):
                noise = [rng.randint(-127, 127) for _ in range(lanes)]  # beyond the last channel
                counts = [*groups[index], *noise][:lanes]
                payload = {"token": rng.getrandbits(1), "group": index, "counts": counts}
                ctx.set(dut.i_counts.payload, payload)
                ctx.set(dut.i_counts.valid, 1)
            if index == scale_after:
                ctx.set(dut.i_scale.payload, {"mantissa": scale[0], "exponent": scale[1]})
                ctx.set(dut.i_scale.valid, 1)
            await ctx.tick()
            ctx.set(dut.i_counts.valid, 0)
            ctx.set(dut.i_scale.valid, 0)

    async def _write(self, ctx):
        width = self.params.axi_bytes
        while True:
            (raw,) = await collect(ctx, self.dut.o_row, 1, self._rng, self._stall)
            row = row_layout(self.params).from_bits(raw)
            words = -(-(row.first + row.bytes) // width)
            data = await collect(ctx, self.dut.o, words, self._rng, self._stall)
            raw = b"".join(word.to_bytes(width, "little") for word in data)
            for at, byte in enumerate(raw[row.first : row.first + row.bytes], row.first):
                address = row.address * width + at
                assert address not in self.memory, "a byte is written twice"
                self.memory[address] = byte


def check(params, stores, rng, idle=0.0, stall=0.0):
    expected = {}
    for store in stores:
        expected |= store.expected(params)
    assert Bench(params, stores, rng, idle, stall).run() == expected


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cache", Cache)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.6), (0.3, 0.3)])
def test_heads_of_every_length(name, cache, idle, stall, seed):
    """Some the whole of a tile; a STORE after the other, keys and values mixed."""
    rng, params = random.Random(seed), VARIANTS[name]
    full, lanes = params.tile_outputs, params.encode_lanes
    for channels in {1, 3, lanes, min(full, lanes + 1), full - 1, full}:
        other = rng.choice(list(Cache))
        stores = [
            store_of(params, rng, cache, rng.randrange(3 * full), heads, channels)
            for heads in (1, 2)
        ]
        stores.append(store_of(params, rng, other, rng.randrange(9), 1, channels))
        # Each at places of its own.
        for index, store in enumerate(stores):
            store.codes += index << 34
            store.scale_words += index << 34
        check(params, stores, rng, idle, stall)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cache", Cache)
def test_positions_at_the_edges_of_tiles(name, cache, seed):
    rng, params = random.Random(seed), VARIANTS[name]
    full = params.tile_outputs
    positions = [0, 1, params.axi_bytes - 1, full - 1, full, full + 1, 2 * full - 1, 65535]
    for position in positions:
        channels = rng.choice([1, full, rng.randint(1, full)])
        check(params, [store_of(params, rng, cache, position, 2, channels)], rng)


def test_as_many_heads_as_there_can_be(seed):
    rng = random.Random(seed)
    check(TEST, [store_of(TEST, rng, Cache.VALUE, 40, 127, 3)], rng)


def test_addresses_of_forty_bits(seed):
    rng = random.Random(seed)
    store = store_of(TEST, rng, Cache.KEY, 65535, 2, 32)
    store.codes, store.scale_words = 0xF0_0000_0000, 0xE0_0000_0000
    store.codes_stride, store.scales_stride = 0xFF_FFF8, 0xFF_FFF8
    check(TEST, [store], rng)


@pytest.mark.parametrize("channels", [1, 8, 9, 32])
@pytest.mark.parametrize("cache", Cache)
def test_timing(cache, channels):
    rng = random.Random(0)
    store = store_of(TEST, rng, cache, 5, 1, channels)
    bench = Bench(TEST, [store], rng)
    bench.run()
    pieces = channels if cache is Cache.KEY else -(-channels // TEST.axi_bytes)
    assert bench.cycles == 3 + 2 * pieces
