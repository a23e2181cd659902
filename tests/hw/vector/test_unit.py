"""The vector unit: every operation, bit for bit, memory to memory."""

import math
import random
import struct
from dataclasses import replace

import pytest

from hw.contract.isa import VectorOp
from hw.contract.presets import preset
from hw.memory.write import row_layout
from hw.vector.unit import VectorUnit
from tests.harness import reference
from tests.harness.memory import serve
from tests.harness.streams import collect, feed, simulate

TEST = preset("test")
PARAMS = {64: TEST, 128: replace(TEST, axi_data_width=128, banks=16)}
EXTREMES = [-(1 << 31), (1 << 31) - 1, -1, 0, 1, 1 << 16, -(1 << 20), (1 << 20) - 1]
MU = round(math.log2(math.e) / 8 * (1 << 24))
A, B, OUT = 0x1000, 0x9000, 0x20000


def elements(rng, count, bits=24):
    """Return elements of all sizes, extremes among them."""
    values = [rng.randrange(-1, 1) ^ rng.getrandbits(rng.randrange(1, bits)) for _ in range(count)]
    for _ in range(rng.randrange(3)):
        values[rng.randrange(count)] = rng.choice(EXTREMES)
    return values


def rotated(x, table):
    return reference.rotate(x, table[0::2], table[1::2])


def gated(gate, up):
    return [reference.swiglu(g, u) for g, u in zip(gate, up, strict=True)]


def weights(scores, scales):
    return reference.softmax(scores, *zip(*scales, strict=True), MU)


class Bench:
    """One instruction on rows of operands in memory, and the rows that came out.

    `base` is added to its addresses.
    """

    def __init__(self, params, rng, operation, a, b=None, *, stalls=0.0, base=0, **fields):
        self.params, self.rng, self.stalls = params, rng, stalls
        self.base = base
        self.rows, self.length = len(a), len(a[0])
        self.stride = -(-self.length * 4 // params.axi_bytes) * params.axi_bytes
        self.job = {
            "opcode": 4,
            "operation": operation.value,
            "rows": self.rows,
            "elements": self.length,
            "stride": self.stride,
            "a": A + base,
            "b": B + base,
            "destination": OUT + base,
            "constant": 0,
            "b_same": int(b is not None and len(b) == 1),
        } | fields
        self.memory = self.store(A + base, a) | self.store(B + base, b or [])
        self.out = {}

    def store(self, base, rows):
        raw = {}
        for index, row in enumerate(rows):
            for at, value in enumerate(row):
                raw[base + index * self.stride + 4 * at] = value % (1 << 32)
        return raw

    def word(self, address):
        base = address * self.params.axi_bytes
        noise = random.Random(base)  # beyond a row lies anything
        values = [
            self.memory.get(base + at, noise.getrandbits(32))
            for at in range(0, self.params.axi_bytes, 4)
        ]
        return int.from_bytes(struct.pack(f"<{len(values)}I", *values), "little")

    def run(self, *others):
        """Run it, and `others` after it without a pause."""
        self.dut = dut = VectorUnit(self.params)
        benches = [self, *others]
        for bench in others:
            bench.dut, bench.memory = dut, bench.memory | self.memory
            self.memory = bench.memory

        async def instructions(ctx):
            await feed(ctx, dut.i, [bench.job for bench in benches], self.rng, 0)

        async def write(ctx):
            for bench in benches:
                await bench._write(ctx)
            await ctx.tick().until(~dut.busy)

        background = [self._memory(dut.o_a, dut.i_a), self._memory(dut.o_b, dut.i_b)]
        simulate(dut, instructions, write, background=background)
        return self.out

    def _memory(self, request, words):
        async def run(ctx):
            await serve(ctx, request, words, self.word, self.rng, self.stalls, self.stalls)

        return run

    async def _write(self, ctx):
        for _ in range(self.rows):
            (raw,) = await collect(ctx, self.dut.o_row, 1, self.rng, self.stalls)
            row = row_layout(self.params).from_bits(raw)
            words = -(-(row.first + row.bytes) // self.params.axi_bytes)
            data = await collect(ctx, self.dut.o, words, self.rng, self.stalls)
            raw = b"".join(word.to_bytes(self.params.axi_bytes, "little") for word in data)
            raw = raw[row.first : row.first + row.bytes]
            address = row.address * self.params.axi_bytes + row.first
            for at in range(0, len(raw), 4):
                assert address + at not in self.out
                self.out[address + at] = struct.unpack_from("<i", raw, at)[0]

    def place(self, rows):
        """Return rows of results by the address of each element."""
        return {
            OUT + self.base + index * self.stride + 4 * at: value
            for index, row in enumerate(rows)
            for at, value in enumerate(row)
        }

    def expect(self, rows):
        assert self.run() == self.place(rows)


@pytest.fixture
def rng(seed):
    return random.Random(seed)


@pytest.fixture(params=PARAMS)
def params(request):
    return PARAMS[request.param]


@pytest.fixture(params=[0.0, 0.4])
def stalls(request):
    return request.param


def test_copy_and_add(params, stalls, rng):
    a = [elements(rng, 37, 32) for _ in range(2)]
    b = [elements(rng, 37, 32) for _ in range(2)]
    Bench(params, rng, VectorOp.COPY, a, stalls=stalls).expect(a)
    sums = [
        [reference.sat32(x + y) for x, y in zip(*rows, strict=True)]
        for rows in zip(a, b, strict=True)
    ]
    Bench(params, rng, VectorOp.ADD, a, b, stalls=stalls).expect(sums)


def test_the_edges_of_saturation(params, rng):
    highest, lowest = (1 << 31) - 1, -(1 << 31)
    a = [highest, highest, highest, highest - 1, lowest, lowest, lowest, lowest + 1, lowest]
    b = [0, 1, highest, 1, 0, -1, lowest, -1, highest]
    sums = [highest, highest, highest, highest, lowest, lowest, lowest, lowest, -1]
    Bench(params, rng, VectorOp.ADD, [a], [b]).expect([sums])


@pytest.mark.parametrize("bits", [2, 18, 32])
@pytest.mark.parametrize("length", [1, 8, 45])
def test_norm(params, stalls, length, bits, rng):
    x = [elements(rng, length, bits) for _ in range(3)]
    w = [elements(rng, length, 18)]
    constant = rng.choice([1, 655, 42950])
    bench = Bench(params, rng, VectorOp.NORM, x, w, stalls=stalls, constant=constant)
    bench.expect([reference.rms_norm(row, w[0], constant) for row in x])


def test_norm_of_extremes(params, rng):
    for row in ([-(1 << 31)] * 64, [0] * 8, [1] * 5, [(1 << 31) - 1] * 7):
        bench = Bench(params, rng, VectorOp.NORM, [row], [[1 << 16] * len(row)], constant=1)
        bench.expect([reference.rms_norm(row, [1 << 16] * len(row), 1)])


def test_rotate(params, stalls, rng):
    x = [elements(rng, 24, 32) for _ in range(3)]
    angles = [rng.uniform(-9, 9) for _ in range(12)]
    table = [round(f(angle) * 65536) for angle in angles for f in (math.cos, math.sin)]
    bench = Bench(params, rng, VectorOp.ROTATE, x, [table], stalls=stalls)
    bench.expect([rotated(row, table) for row in x])


@pytest.mark.parametrize("bits", [12, 21, 32])
def test_swiglu(params, stalls, bits, rng):
    gate, up = elements(rng, 61, bits), elements(rng, 61, 32)
    bench = Bench(params, rng, VectorOp.SWIGLU, [gate], [up], stalls=stalls)
    bench.expect([gated(gate, up)])


@pytest.mark.parametrize("length", [1, 6, 45])
@pytest.mark.parametrize("bits", [16, 22, 32])
def test_softmax(params, stalls, length, bits, rng):
    scores = [elements(rng, length, bits) for _ in range(2)]
    scales = [(rng.randrange(1 << 15, 1 << 16), rng.randrange(32)) for _ in range(length)]
    words = [mantissa | exponent << 16 for mantissa, exponent in scales]
    bench = Bench(params, rng, VectorOp.SOFTMAX, scores, [words], stalls=stalls, constant=MU)
    bench.expect([weights(row, scales) for row in scores])


def test_softmax_of_scores_far_below_the_largest(params, rng):
    """Powers that vanish, by every number of places."""
    scores = [[-(i << places) for i in range(16)] for places in range(8, 28)]
    scales = [(1 << 15, 0)] * 16
    bench = Bench(params, rng, VectorOp.SOFTMAX, scores, [[1 << 15] * 16], constant=MU)
    bench.expect([weights(row, scales) for row in scores])


def test_argmax(params, stalls, rng):
    for length in (1, 3, 50):
        x = [rng.randrange(-4, 4) for _ in range(length)]
        bench = Bench(params, rng, VectorOp.ARGMAX, [x], stalls=stalls, destination=OUT + 4)
        assert bench.run() == {OUT + 4: reference.argmax(x)}
    lowest = [-(1 << 31)] * 9
    assert Bench(params, rng, VectorOp.ARGMAX, [lowest]).run() == {OUT: 0}


def test_argmax_of_rows(params, rng):
    """Each at the place of its row; equal elements in different words: the first."""
    x = [[rng.randrange(-2, 2) for _ in range(20)] for _ in range(6)]
    bench = Bench(params, rng, VectorOp.ARGMAX, x, destination=OUT + 4)
    assert bench.run() == {
        OUT + 4 + index * bench.stride: reference.argmax(row) for index, row in enumerate(x)
    }


def test_norm_of_rows_with_gains_of_their_own(params, stalls, rng):
    x, w = ([elements(rng, 13, 24) for _ in range(4)] for _ in range(2))
    bench = Bench(params, rng, VectorOp.NORM, x, w, stalls=stalls, constant=7)
    bench.expect([reference.rms_norm(*rows, 7) for rows in zip(x, w, strict=True)])


@pytest.mark.parametrize("same", [False, True])
def test_as_many_rows_as_there_can_be(same, rng):
    a = [elements(rng, 3, 32) for _ in range(127)]
    b = [elements(rng, 3, 32) for _ in range(1 if same else 127)]
    bench = Bench(TEST, rng, VectorOp.ADD, a, b, stalls=0.1)
    pairs = zip(a, b * 127 if same else b, strict=True)
    bench.expect([[reference.sat32(x + y) for x, y in zip(*rows, strict=True)] for rows in pairs])


@pytest.mark.parametrize("width", [64, 128, 256])
def test_instructions_one_after_the_other(width, stalls, rng):
    """Every operation twice, in any order: nothing of one is left for the next."""
    params = replace(TEST, axi_data_width=width, banks=width // 16)
    a = [[elements(rng, 22, 20) for _ in range(2)] for _ in range(2 * len(VectorOp))]
    b = [elements(rng, 22, 20) for _ in range(2 * len(VectorOp))]
    scales = [(rng.randrange(1 << 15, 1 << 16), rng.randrange(32)) for _ in range(22)]
    words = [mantissa | exponent << 16 for mantissa, exponent in scales]
    compute = {
        VectorOp.COPY: lambda x, _: x,
        VectorOp.ADD: lambda x, z: [reference.sat32(p + q) for p, q in zip(x, z, strict=True)],
        VectorOp.NORM: lambda x, z: reference.rms_norm(x, z, 655),
        VectorOp.ROTATE: rotated,
        VectorOp.SWIGLU: gated,
        VectorOp.SOFTMAX: lambda x, _: weights(x, scales),
        VectorOp.ARGMAX: lambda x, _: [reference.argmax(x)],
    }
    constants = {VectorOp.NORM: 655, VectorOp.SOFTMAX: MU}
    order = [*VectorOp] * 2
    rng.shuffle(order)
    benches = [
        Bench(
            params,
            rng,
            operation,
            a[index],
            [words if operation is VectorOp.SOFTMAX else b[index]],
            stalls=stalls,
            base=index << 20,
            constant=constants.get(operation, 0),
        )
        for index, operation in enumerate(order)
    ]
    benches[0].run(*benches[1:])
    for index, (operation, bench) in enumerate(zip(order, benches, strict=True)):
        rows = [compute[operation](row, b[index]) for row in a[index]]
        assert bench.out == bench.place(rows), operation
