"""The encoder: memory feeds vectors; counts and thresholds are golden's."""

import random
from dataclasses import dataclass, replace

import pytest
import torch

from golden.numerics.neuron import Site, encode_vectors
from hw.contract.isa import Opcode, Rule
from hw.contract.presets import preset
from hw.spike.buffer import batch_layout
from hw.spike.encoder import Encoder
from hw.spike.neuron import Neuron
from hw.spike.threshold import Threshold
from tests.harness.memory import serve
from tests.harness.streams import collect, simulate

TEST = preset("test")
VARIANTS = {
    "test": TEST,
    "four lanes": replace(TEST, axi_data_width=128, banks=8),
    "eight lanes, one token": replace(TEST, axi_data_width=256, banks=16, tokens=1),
    "counts to 5, three tokens": replace(TEST, max_count=5, tokens=3),
    "no shifts": replace(TEST, max_shift=0),
    "shifts up to 6": replace(TEST, max_shift=6),
    "a shift, eight lanes": replace(TEST, max_shift=1, axi_data_width=256, banks=16),
}
LOWEST, HIGHEST = -(2**31), 2**31 - 1


@dataclass
class Encode:
    """One ENCODE: its site, its tokens' vectors, and where they lie (bytes)."""

    site: Site
    vectors: list[list[int]]
    source: int
    stride: int
    store: bool = False  # for the cache: its vectors are heads
    exponents: list[int] | None = None  # of the channels, as they lie in memory
    largest_exponent: int = 0

    def instruction(self):
        site = self.site
        return {
            "opcode": Opcode.ENCODE,
            "rule": Rule[site.rule.upper()],
            "tokens": len(self.vectors),
            "channels": len(self.vectors[0]),
            "max_count": site.max_count,
            "multiplier": site.multiplier,
            "divisor": site.divisor,
            "peak": site.peak,
            "dead_zone": site.dead_zone,
            "source": self.source,
            "source_stride": self.stride,
            "shifts": site.shifts,
            "largest_exponent": self.largest_exponent,
            "exponents": self.exponents_at,
        }

    @property
    def exponents_at(self):
        return self.source + (1 << 15)

    def expected(self):
        """Return golden's scales, as (mantissa, exponent), and spikes of each token."""
        x = torch.tensor(self.vectors, dtype=torch.int64).to(torch.int32)
        exponents = None
        if self.largest_exponent:
            exponents = torch.tensor(self.exponents, dtype=torch.int8)
            exponents = exponents.clamp(max=self.largest_exponent)
        found = encode_vectors(x, self.site, exponents=exponents)
        scales = [(v >> v.bit_length() - 16, v.bit_length() - 16) for v in found.v.tolist()]
        return scales, found.spikes.tolist()


def vector_of(rng, channels):
    """Elements of one magnitude, with some far smaller and now and then an extreme one."""
    bits = rng.randint(1, 32)
    extremes = [0, 1, -1, LOWEST, HIGHEST] if rng.random() < 0.3 else [0]
    return [
        rng.choice(extremes)
        if rng.random() < 0.1
        else max(LOWEST, min(HIGHEST, rng.randint(-(1 << bits), 1 << bits) >> rng.randint(0, 3)))
        for _ in range(channels)
    ]


def loud_and_quiet(rng, channels):
    """Elements whose groups of 32 differ by powers of two, or just not."""
    peak = rng.getrandbits(rng.randint(3, 31))
    found = []
    while len(found) < channels:
        loudest = min(HIGHEST, max(0, (peak >> rng.randint(0, 5)) + rng.randint(-1, 1)))
        group = [rng.randint(-loudest, loudest) for _ in range(32)]
        group[rng.randrange(32)] = rng.choice([loudest, -loudest])
        found += group
    return found[:channels]


def site_of(params, rng):
    rule = rng.choice(["absmax", "mean", "static"])
    max_count = rng.choice([1, params.max_count, rng.randint(1, params.max_count)])
    return Site(
        rule,
        max_count,
        256 if rule == "mean" else rng.choice([256, rng.randint(1, 256)]),
        rng.randint(1, 1 << 12) if rule == "mean" else max_count,
        rng.getrandbits(rng.randint(1, 31)) if rule == "static" else 0,
        rng.choice([0, 0, rng.getrandbits(rng.randint(1, 31))]),
        0 if rule == "mean" else rng.randint(0, min(3, params.max_shift)),
    )


def encode_of(params, rng, channels, tokens, source):
    stride = params.vector_bytes(channels) + params.axi_bytes * rng.choice([0, 1, 5])
    vectors = [rng.choice([vector_of, loud_and_quiet])(rng, channels) for _ in range(tokens)]
    site = site_of(params, rng)
    largest = rng.randint(0, min(3, params.max_shift - site.shifts))
    exponents = [rng.randint(0, 3) for _ in range(channels)]
    return Encode(site, vectors, source, stride, False, exponents, largest)


class Bench:
    """An encoder in front of a memory that holds only the vectors, padded with noise."""

    def __init__(self, params, encodes, rng, idle=0.0, stall=0.0):
        self.params, self.encodes = params, encodes
        self.dut = Encoder(params)
        self.batches, self.written, self.scales = [], [], []
        self.cycles = 0
        self._scales = [None, None]  # what each bank must hold once it is complete
        self._rng, self._idle, self._stall = rng, idle, stall
        self._words = {}
        for encode in encodes:
            for token, vector in enumerate(encode.vectors):
                self._store(encode.source + token * encode.stride, vector)
            if encode.largest_exponent:
                self._store_exponents(encode.exponents_at, encode.exponents)

    def _store_exponents(self, address, exponents):
        a_word = self.params.axi_data_width // 2
        for start in range(0, len(exponents), a_word):
            some = exponents[start : start + a_word]
            word = self._rng.getrandbits(2 * a_word) >> 2 * len(some) << 2 * len(some)
            word |= sum(e << 2 * index for index, e in enumerate(some))
            self._words[address // self.params.axi_bytes + start // a_word] = word

    def _store(self, address, vector):
        lanes = self.params.encode_lanes
        noise = [self._rng.choice([LOWEST, self._rng.getrandbits(31)]) for _ in range(lanes)]
        for start in range(0, len(vector), lanes):
            group = [*vector[start : start + lanes], *noise][:lanes]
            word = sum((value % (1 << 32)) << 32 * lane for lane, value in enumerate(group))
            self._words[address // self.params.axi_bytes + start // lanes] = word

    def run(self):
        background = [self._watch, self._take_batches, self._memory]
        simulate(self.dut, self._drive, background=background)
        return self

    async def _memory(self, ctx):
        request, words, rng = self.dut.o_request, self.dut.i_words, self._rng
        read = self._words.__getitem__
        await serve(ctx, request, words, read, rng, self._idle, self._stall)

    async def _drive(self, ctx):
        dut, rng = self.dut, self._rng
        bank = 0
        for encode in self.encodes:
            while rng.random() < self._idle:
                await ctx.tick()
            bank ^= rng.random() < 0.8
            ctx.set(dut.i.payload, encode.instruction())
            ctx.set(dut.bank, bank)
            ctx.set(dut.store, encode.store)
            ctx.set(dut.i.valid, 1)
            assert ctx.get(dut.i.ready)
            ready = ctx.get(dut.scales_ready)
            await ctx.tick()
            if not encode.store:
                self._scales[bank] = encode.expected()[0]
                ready &= ~(1 << bank)
            assert ctx.get(dut.scales_ready) == ready
            # From here on the instruction is the encoder's own.
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, {"channels": 1, "tokens": 1, "divisor": 1})
            ctx.set(dut.bank, rng.getrandbits(1))
            ctx.set(dut.store, rng.getrandbits(1))
            while ctx.get(dut.busy):
                await ctx.tick()
                self.cycles += 1
            assert ctx.get(dut.scales_ready) == (ready if encode.store else ready | 1 << bank)

    async def _take_batches(self, ctx):
        for encode in self.encodes:
            if encode.store:
                await self._take_heads(ctx, len(encode.vectors))
                continue
            (raw,) = await collect(ctx, self.dut.o_batch, 1, self._rng, self._stall)
            batch = batch_layout(self.params).from_bits(raw)
            self.batches.append((batch.tokens, batch.channels))
            self._begin()

    def _begin(self):
        self.written.append([])
        self.scales.append([])

    async def _take_heads(self, ctx, heads):
        """Each head's counts and threshold come after it has been taken, before the next one is."""
        for head in range(heads):
            await collect(ctx, self.dut.o_head, 1, self._rng, self._stall)
            if head == 0:
                self.batches.append(None)
                self._begin()
            assert len(self.scales[-1]) == head
            self._head = head

    async def _watch(self, ctx):
        stream = self.dut.o_counts
        while True:
            expected = list(self._scales)
            dut = self.dut
            _, _, valid, payload, storing, scaled, scale, ready, scales = await ctx.tick().sample(
                stream.valid,
                stream.payload,
                dut.storing,
                dut.o_scale.valid,
                dut.o_scale.payload,
                dut.scales_ready,
                dut.scales,
            )
            if valid:
                assert storing == (self.batches[-1] is None)
                counts = [payload.counts[lane] for lane in range(self.params.encode_lanes)]
                token = self._head if storing else payload.token
                self.written[-1].append((token, payload.group, counts))
            if scaled:
                assert storing and len(self.scales[-1]) == self._head
                self.scales[-1].append((scale.mantissa, scale.exponent))
            for bank in range(2):
                if ready >> bank & 1:
                    held = [scales[bank][token] for token in range(len(expected[bank]))]
                    assert [(s.mantissa, s.exponent) for s in held] == expected[bank]


def check(bench):
    for index, encode in enumerate(bench.encodes):
        lanes = bench.params.encode_lanes
        expected = [
            (token, start // lanes, (row[start : start + lanes] + [0] * lanes)[:lanes])
            for token, row in enumerate(encode.expected()[1])
            for start in range(0, len(row), lanes)
        ]
        extent = (len(encode.vectors), len(encode.vectors[0]))
        assert bench.batches[index] == (None if encode.store else extent)
        assert bench.scales[index] == (encode.expected()[0] if encode.store else [])
        assert bench.written[index] == expected, (index, encode.site)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.5, 0.5)])
def test_counts_and_scales_equal_golden(name, idle, stall, seed):
    rng = random.Random(seed)
    params = VARIANTS[name]
    encodes, source = [], 0
    for channels in (1, 2, 3, params.encode_lanes + 1, 17, 64, 65, 127, 200):
        for _ in range(2):
            tokens = rng.randint(1, params.tokens)
            encodes.append(encode_of(params, rng, channels, tokens, source))
            source += 1 << 16
    check(Bench(params, encodes, rng, idle, stall).run())


@pytest.mark.parametrize("name", ["test", "four lanes", "eight lanes, one token"])
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.5, 0.9)])
def test_heads_for_the_cache_between_batches(name, idle, stall, seed):
    """More heads than a batch has tokens; thresholds of both banks stay as they are."""
    rng = random.Random(seed)
    params = VARIANTS[name]
    encodes, source = [], 0
    for heads, channels in ((0, 9), (1, 1), (5, 17), (0, 20), (0, 3), (3, 32), (0, 5)):
        if heads:
            vectors = [vector_of(rng, channels) for _ in range(heads)]
            row = Site("absmax", 127, 256, 127)
            encodes.append(Encode(row, vectors, source, params.vector_bytes(channels), store=True))
        else:
            encodes.append(encode_of(params, rng, channels, params.tokens, source))
        source += 1 << 16
    check(Bench(params, encodes, rng, idle, stall).run())


def test_as_many_heads_as_there_can_be(seed):
    rng = random.Random(seed)
    vectors = [vector_of(rng, 3) for _ in range(127)]
    encode = Encode(Site("absmax", 127, 256, 127), vectors, 0, TEST.vector_bytes(3), store=True)
    check(Bench(TEST, [encode], rng).run())


def corner(params, rule, vectors, peak=0, dead_zone=0, max_count=None, divisor=None):
    max_count = max_count or params.max_count
    site = Site(rule, max_count, 256, divisor or max_count, peak, dead_zone)
    source = params.axi_bytes * (1 << 30)  # beyond 32 bits
    return Encode(site, vectors, source, params.vector_bytes(len(vectors[0])))


@pytest.mark.parametrize(
    "encode",
    [
        corner(TEST, "absmax", [[0] * 9, [LOWEST] * 9]),
        corner(TEST, "absmax", [[LOWEST] * 9, [HIGHEST] + [1] * 8], max_count=1),
        corner(TEST, "absmax", [[5, -5, 4, 6, 0]], dead_zone=5),
        corner(TEST, "absmax", [[1 << 20, LOWEST, HIGHEST]], dead_zone=1 << 31),
        corner(TEST, "static", [[LOWEST, HIGHEST, 100]], peak=100),
        corner(TEST, "static", [[LOWEST, HIGHEST, 100]], peak=0),
        corner(TEST, "static", [[LOWEST, HIGHEST, 100]], peak=1 << 31),
        corner(TEST, "mean", [[LOWEST] * TEST.max_channels], divisor=1),
        corner(TEST, "mean", [[LOWEST] * TEST.max_channels], divisor=TEST.max_channels),
    ],
)
def test_corners(encode, seed):
    check(Bench(TEST, [encode], random.Random(seed)).run())


@pytest.mark.parametrize("channels", [1, 16, 400])
@pytest.mark.parametrize("largest", [0, 1 << 30])
@pytest.mark.parametrize("tokens", [1, 2])
@pytest.mark.parametrize("exponents", [False, True])
def test_timing(channels, largest, tokens, exponents):
    encode = corner(TEST, "absmax", [[largest] * channels] * tokens)
    encode.exponents, encode.largest_exponent = [3] * channels, 3 * exponents
    bench = Bench(TEST, [encode], random.Random(0)).run()
    words = TEST.vector_bytes(channels) // TEST.axi_bytes
    pairs = TEST.encode_lanes.bit_length() - 1  # steps in which a word's elements become one
    # At the end: the neurons' latency, or the last threshold's normalization, a bit a cycle.
    settle = max(Neuron.latency(TEST) + 4, encode.expected()[0][0][1] + 3 - words)
    ahead = exponents * TEST.exponent_bytes(channels) // TEST.axi_bytes
    assert (
        bench.cycles - ahead == tokens * (2 * words + Threshold.latency(TEST) + 1 + pairs) + settle
    )
