"""The channel words: each tile's scales and biases, a tile ahead, never over one that drains."""

import random
from dataclasses import dataclass, replace

import pytest

from hw.contract.isa import SCALE, pack
from hw.contract.presets import preset
from hw.matmul.channel_words import ChannelWords
from tests.harness.memory import serve
from tests.harness.streams import feed, simulate

TEST = preset("test")
VARIANTS = {
    64: TEST,
    256: replace(TEST, axi_data_width=256, banks=16),
}


@dataclass
class Matmul:
    """One MATMUL's channel words: (mantissa, exponent, bias) of each output."""

    address: int
    has_bias: bool
    channels: list[tuple[int, int, int]]


def matmul_of(rng, address, outputs, has_bias):
    channels = [
        (rng.getrandbits(16), rng.randint(0, 255), rng.randint(-(2**31), 2**31 - 1) * has_bias)
        for _ in range(outputs)
    ]
    return Matmul(address, has_bias, channels)


def words_of(params, matmul):
    """Return the memory words of a MATMUL, by address; what no channel fills is noise."""
    lanes = params.encode_lanes
    words = []
    for start in range(0, len(matmul.channels), lanes):
        group = matmul.channels[start : start + lanes]
        scales = [
            int.from_bytes(pack(SCALE, mantissa=m, exponent=e, reserved=0xA5), "little")
            for m, e, _ in group
        ]
        biases = [bias % (1 << 32) for _, _, bias in group]
        for fields in (scales, biases) if matmul.has_bias else (scales,):
            padded = [*fields, *[0xDEADBEEF] * lanes][:lanes]
            words.append(sum(field << 32 * lane for lane, field in enumerate(padded)))
    return dict(enumerate(words, matmul.address))


class Bench:
    """Channel words of several MATMULs, taken tile after tile as the drain does."""

    def __init__(self, params, matmuls, rng, idle=0.0, stall=0.0, slow=0.0):
        self.params, self.matmuls = params, matmuls
        self.dut = ChannelWords(params)
        self.segments, self.cycles = [], 0
        self._rng, self._idle, self._stall, self._slow = rng, idle, stall, slow
        self.words = {}
        for matmul in matmuls:
            self.words |= words_of(params, matmul)

    def run(self):
        simulate(self.dut, self._start, self._drain, background=[self._memory])
        return self

    async def _memory(self, ctx):
        request, words = self.dut.o_request, self.dut.i_words
        read, rng = self.words.__getitem__, self._rng
        await serve(ctx, request, words, read, rng, self._idle, self._stall, self.segments)

    async def _start(self, ctx):
        payloads = []
        for matmul in self.matmuls:
            sizes = self.params.tiles(len(matmul.channels))
            full, last = {"outputs": self.params.tile_outputs}, {"outputs": sizes[-1]}
            tiling = {"tiles": len(sizes), "single": len(sizes) == 1, "full": full, "last": last}
            share = {"address": matmul.address, "has_bias": matmul.has_bias, "tiling": tiling}
            payloads.append(share)
        await feed(ctx, self.dut.i, payloads, self._rng, self._idle)

    async def _drain(self, ctx):
        dut, half = self.dut, 0
        for matmul in self.matmuls:
            first = 0
            for size in self.params.tiles(len(matmul.channels)):
                while not ctx.get(dut.loaded) >> half & 1:
                    self.cycles += 1
                    await ctx.tick()
                while self._rng.random() < self._slow:
                    await ctx.tick()
                await self._check(ctx, half, matmul.channels[first : first + size])
                ctx.set(dut.release, 1 << half)
                await ctx.tick()
                ctx.set(dut.release, 0)
                first += size
                half ^= 1

    async def _check(self, ctx, half, channels):
        dut, lanes = self.dut, self.params.encode_lanes
        for start in range(0, len(channels), lanes):
            ctx.set(dut.half, half)
            ctx.set(dut.group, start // lanes)
            ctx.set(dut.enable, 1)
            await ctx.tick()
            ctx.set(dut.enable, 0)
            while self._rng.random() < self._slow:  # what was read stays
                ctx.set(dut.half, self._rng.getrandbits(1))
                ctx.set(dut.group, self._rng.randrange(self.params.tile_outputs // lanes))
                await ctx.tick()
            for lane, expected in enumerate(channels[start : start + lanes]):
                channel = ctx.get(dut.channels[lane])
                got = (channel.mantissa, channel.exponent, channel.bias)
                assert got == expected, (half, start + lane)


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize(
    "idle, stall, slow", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 0.0, 0.6), (0.3, 0.3, 0.3)]
)
def test_every_tile_finds_its_channels(width, idle, stall, slow, seed):
    rng = random.Random(seed)
    params = VARIANTS[width]
    full = params.tile_outputs
    matmuls, address = [], 0
    for outputs in (1, full, 3 * full, full + 1, 2, 2 * full - 1, 3):
        for has_bias in (True, False):
            address += 4096
            matmuls.append(matmul_of(rng, address, outputs, has_bias))
    bench = Bench(params, matmuls, rng, idle, stall, slow).run()
    # Each tile is one segment, of no word that is not its own.
    asked = [address + i for address, words in bench.segments for i in range(words)]
    assert asked == sorted(set(asked)) == sorted(bench.words)
    assert len(bench.segments) == sum(len(params.tiles(len(m.channels))) for m in matmuls)


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_word_a_cycle(has_bias):
    rng = random.Random(0)
    bench = Bench(TEST, [matmul_of(rng, 0, TEST.tile_outputs, has_bias)], rng).run()
    assert bench.cycles <= TEST.tile_outputs // TEST.encode_lanes * (1 + has_bias) + 3


def test_two_tiles_are_held_and_no_third(seed):
    rng = random.Random(seed)
    bench = Bench(TEST, [matmul_of(rng, 0, 3 * TEST.tile_outputs, True)], rng)

    async def wait(ctx):
        while ctx.get(bench.dut.loaded) != 0b11:
            await ctx.tick()
        await ctx.tick().repeat(100)
        assert len(bench.segments) == 2
        ctx.set(bench.dut.release, 0b01)
        await ctx.tick()
        ctx.set(bench.dut.release, 0)
        assert ctx.get(bench.dut.loaded) == 0b10
        await ctx.tick().repeat(3 * TEST.tile_outputs)
        assert ctx.get(bench.dut.loaded) == 0b11
        assert len(bench.segments) == 3

    simulate(bench.dut, wait, background=[bench._start, bench._memory])
