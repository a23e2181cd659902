"""The drain: each output of each tile once, with its channel and threshold, to its place."""

import random
from dataclasses import dataclass, replace

import pytest

from hw.drain import Drain
from hw.presets import preset
from hw.requant import psum_layout
from hw.write import row_layout
from tests.harness.streams import collect, simulate

TEST = preset("test")
VARIANTS = {
    "test": TEST,
    "one token": replace(TEST, tokens=1),
    "five tokens": replace(TEST, tokens=5),
    "one bank": replace(TEST, banks=1, lanes=32),
}


@dataclass
class Tile:
    """A finished tile: its accumulators (tokens, outputs), its channels, and if it is untouched."""

    psums: list[list[int]]
    channels: list[dict[str, int]]
    empty: bool


class Matmul:
    """Random tiles of one MATMUL, where their outputs go, and what must leave the drain."""

    def __init__(self, params, rng, outputs, tokens):
        self.params, self.tokens = params, tokens
        self.outputs = outputs
        self.destination = rng.randrange(1 << 20) * params.axi_bytes
        self.stride = rng.randrange(1 << 12) * params.axi_bytes
        self.scales = [
            {"mantissa": rng.getrandbits(16), "exponent": rng.randrange(params.threshold_width)}
            for _ in range(params.tokens)
        ]
        half = 1 << params.acc_width - 1
        self.tiles = [
            Tile(
                [[rng.randrange(-half, half) for _ in range(size)] for _ in range(params.tokens)],
                [
                    {
                        "mantissa": rng.getrandbits(16),
                        "exponent": rng.getrandbits(8),
                        "bias": rng.randrange(-(1 << 31), 1 << 31),
                    }
                    for _ in range(size)
                ],
                rng.random() < 0.3,
            )
            for size in params.tiles(outputs)
        ]

    def tiling(self):
        sizes = self.params.tiles(self.outputs)
        full, last = {"outputs": self.params.tile_outputs}, {"outputs": sizes[-1]}
        return {"tiles": len(sizes), "full": full, "last": last}

    def rows(self):
        """(word address, elements) of each row."""
        start = self.destination
        rows = []
        for tile in self.tiles:
            for token in range(self.tokens):
                address = (start + token * self.stride) // self.params.axi_bytes
                rows.append((address, len(tile.channels)))
            start += 4 * self.params.tile_outputs
        return rows

    def elements(self):
        return [
            {
                "psum": 0 if tile.empty else tile.psums[token][index],
                "threshold": self.scales[token],
                "channel": channel,
            }
            for tile in self.tiles
            for token in range(self.tokens)
            for index, channel in enumerate(tile.channels)
        ]


class Bench:
    """A drain between finished tiles, two halves of accumulators, and what takes its rows."""

    def __init__(self, params, matmuls, rng, idle=0.0, stall=0.0):
        self.params, self.matmuls = params, matmuls
        self.dut = Drain(params)
        self.rows, self.elements = [], []
        self.cycles = 0
        self._halves = [None, None]
        self._rng, self._idle, self._stall = rng, idle, stall

    def run(self):
        simulate(self.dut, self._tiles, self._take_rows, self._take, background=[self._banks])
        return self

    async def _banks(self, ctx):
        """Accumulators and channel words, read a cycle late; forgotten once released."""
        dut = self.dut
        while True:
            _, _, enable, half, bank, token, lane, index, release = await ctx.tick().sample(
                dut.enable, dut.half, dut.bank, dut.token, dut.lane, dut.index, dut.release
            )
            if enable:
                tile = self._halves[half]
                assert bank * self.params.lanes + lane == index
                ctx.set(dut.psum, tile.psums[token][index])
                ctx.set(dut.channel, tile.channels[index])
            for half in range(2):
                if release >> half & 1:
                    assert self._halves[half], "a half was released twice"
                    self._halves[half] = None

    async def _tiles(self, ctx):
        dut, half = self.dut, 0
        for matmul in self.matmuls:
            ctx.set(dut.tiling, matmul.tiling())
            ctx.set(dut.tokens, matmul.tokens)
            ctx.set(dut.scales, matmul.scales)
            ctx.set(dut.destination, matmul.destination)
            ctx.set(dut.destination_stride, matmul.stride)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for tile in matmul.tiles:
                self._halves[half] = tile
                ctx.set(dut.i_tile.payload, {"half": half, "empty": tile.empty})
                ctx.set(dut.i_tile.valid, 1)
                while self._rng.random() < self._idle:  # its channel words come later
                    await ctx.tick()
                ctx.set(dut.loaded, 1 << half)
                taken = 0
                while not taken:
                    _, _, taken = await ctx.tick().sample(dut.i_tile.ready)
                    self.cycles += 1
                ctx.set(dut.i_tile.valid, 0)
                ctx.set(dut.loaded, 0)
                half ^= 1

    async def _take_rows(self, ctx):
        count = sum(len(matmul.rows()) for matmul in self.matmuls)
        self.rows = await collect(ctx, self.dut.o_row, count, self._rng, self._stall)

    async def _take(self, ctx):
        count = sum(len(matmul.elements()) for matmul in self.matmuls)
        self.elements = await collect(ctx, self.dut.o, count, self._rng, self._stall)


def row_of(params, raw):
    row = row_layout(params).from_bits(raw)
    return row.address, row.elements


def element_of(params, raw):
    element = psum_layout(params).from_bits(raw)
    return {
        "psum": element.psum,
        "threshold": {name: element.threshold[name] for name in ("mantissa", "exponent")},
        "channel": {name: element.channel[name] for name in ("mantissa", "exponent", "bias")},
    }


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.8, 0.0), (0.0, 0.6), (0.5, 0.3)])
def test_every_output_leaves_once(name, idle, stall, seed):
    rng = random.Random(seed)
    params = VARIANTS[name]
    full = params.tile_outputs
    matmuls = [
        Matmul(params, rng, outputs, tokens)
        for outputs in (1, full, 2 * full + 1, 2 * full - 1, 3)
        for tokens in {1, params.tokens}
    ]
    bench = Bench(params, matmuls, rng, idle, stall).run()
    expected = [row for matmul in matmuls for row in matmul.rows()]
    assert [row_of(params, raw) for raw in bench.rows] == expected
    expected = [element for matmul in matmuls for element in matmul.elements()]
    for index, (raw, element) in enumerate(zip(bench.elements, expected, strict=True)):
        assert element_of(params, raw) == element, index


@pytest.mark.parametrize("outputs", [1, 5, 32])
@pytest.mark.parametrize("tokens", [1, 2])
def test_timing(outputs, tokens):
    rng = random.Random(0)
    bench = Bench(TEST, [Matmul(TEST, rng, outputs, tokens)], rng).run()
    assert bench.cycles == tokens * (outputs + 1) + 2


def test_latency():
    dut = Drain(TEST)
    matmul = Matmul(TEST, random.Random(0), 4, 1)

    async def check(ctx):
        ctx.set(dut.tiling, matmul.tiling())
        ctx.set(dut.tokens, 1)
        ctx.set(dut.o_row.ready, 1)
        ctx.set(dut.loaded, 0b01)
        ctx.set(dut.i_tile.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, check)
