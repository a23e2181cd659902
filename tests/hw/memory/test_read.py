"""The read port: every client gets its words, in order, whatever the others and memory do."""

import random

import pytest

from hw.contract.presets import preset
from hw.memory.port import READ_CLIENTS
from hw.memory.read import ReadPort
from tests.harness.memory import PortReads, noise
from tests.harness.streams import collect, feed, latency, simulate

PARAMS = preset("test")
PAGE_WORDS = 4096 // PARAMS.axi_bytes
CLIENTS = len(READ_CLIENTS)
NEVER = (0.0,) * CLIENTS
RISING = tuple(0.9 * index / (CLIENTS - 1) for index in range(CLIENTS))


def random_segments(rng, count):
    """Segments of every length, some joining the one before, some a little before 4 KiB."""
    segments, address = [], rng.randrange(1000, 1 << 30)
    for _ in range(count):
        if rng.random() < 0.5:
            address += rng.choice([1, 64, PAGE_WORDS - address % PAGE_WORDS - 3])
        words = rng.choice([1, 2, 3, PARAMS.max_burst_words, 2 * PARAMS.max_burst_words + 1])
        segments.append((address, words))
        address += words
    return segments


def contents(segments):
    return [noise(a + i, PARAMS.axi_data_width) for a, words in segments for i in range(words)]


class Bench:
    """A read port whose clients want `segments` (a list for each), and what it gave them."""

    def __init__(self, segments, rng, idle=0.0, stalls=NEVER, memory=None):
        self.dut = ReadPort(PARAMS)
        self.segments, self.stalls = segments, dict(zip(READ_CLIENTS, stalls, strict=True))
        self.memory = memory or PortReads(PARAMS, rng)
        self.taken = {}
        self.arrived = dict.fromkeys(READ_CLIENTS, 0)
        self.failures = self.cycles = 0
        self._rng, self._idle = rng, idle

    def run(self):
        """Run until every client has its words, those aside that never take any."""
        ends, never = [], [self._watch, self._memory]
        for name in READ_CLIENTS:
            group = never if self.stalls[name] == 1 else ends
            group += [self._driver(name), self._collector(name)]
        simulate(self.dut, *ends, background=never)
        return self

    def _driver(self, name):
        payloads = [{"address": a, "words": w} for a, w in self.segments[name]]

        async def drive(ctx):
            await feed(ctx, getattr(self.dut, f"i_{name}"), payloads, self._rng, self._idle)

        return drive

    def _collector(self, name):
        words = sum(words for _, words in self.segments[name])

        async def check(ctx):
            stream = getattr(self.dut, f"o_{name}")
            stall = self.stalls[name]
            self.taken[name] = await collect(ctx, stream, words, self._rng, stall)

        return check

    async def _memory(self, ctx):
        await self.memory.run(ctx, self.dut.o_address, self.dut.i_data)

    async def _watch(self, ctx):
        while True:
            _, _, taken, failed = await ctx.tick().sample(self.dut.o_taken, self.dut.o_failed)
            for index, name in enumerate(READ_CLIENTS):
                self.arrived[name] += taken >> index & 1
            self.failures += failed
            self.cycles += 1


@pytest.mark.parametrize(
    "idle, stalls, slow, busy",
    [
        (0.0, NEVER, 0.0, 0.0),
        (0.5, NEVER, 0.0, 0.0),
        (0.0, RISING[::-1], 0.0, 0.0),
        (0.0, RISING, 0.6, 0.0),
        (0.2, (0.5,) * CLIENTS, 0.3, 0.8),
    ],
)
def test_every_client_gets_its_words(idle, stalls, slow, busy, seed):
    rng = random.Random(seed)
    segments = {name: random_segments(rng, 25) for name in READ_CLIENTS}
    memory = PortReads(PARAMS, rng, idle=slow, stall=busy)
    bench = Bench(segments, rng, idle, stalls, memory).run()
    for name in READ_CLIENTS:
        assert bench.taken[name] == contents(segments[name]), name
        assert bench.arrived[name] == len(bench.taken[name])
    assert bench.failures == 0


@pytest.mark.parametrize("stuck", READ_CLIENTS)
def test_a_client_that_takes_nothing_holds_up_no_other(stuck, seed):
    segments = {name: [(100, 90)] for name in READ_CLIENTS}  # more than any queue holds
    stalls = [1.0 if name == stuck else 0.0 for name in READ_CLIENTS]
    bench = Bench(segments, random.Random(seed), stalls=stalls).run()
    served = {name: contents(segments[name]) for name in READ_CLIENTS if name != stuck}
    assert bench.taken == served


def test_each_failed_word_is_reported(seed):
    rng = random.Random(seed)
    segments = {name: [] for name in READ_CLIENTS} | {"vectors": [(0, 50)]}
    memory = PortReads(PARAMS, rng, idle=0.5, failed={0, 17, 49})
    assert Bench(segments, rng, memory=memory).run().failures == 3


def test_the_first_client_goes_first():
    """All ask at once: while a burst of a lower index can be asked for, no higher one is."""
    segments = {name: [(1000 * i, 8)] for i, name in enumerate(READ_CLIENTS)}
    bench = Bench(segments, random.Random(0)).run()
    assert [client for client, _, _ in bench.memory.bursts] == list(range(CLIENTS))


def test_timing():
    dut = ReadPort(PARAMS)

    async def check(ctx):
        ctx.set(dut.o_address.ready, 1)
        segment = {"address": 5, "words": 1}
        assert await latency(ctx, dut.i_weights, dut.o_address, segment) == 3
        word = {"data": 7, "client": READ_CLIENTS.index("weights"), "failed": 0}
        assert await latency(ctx, dut.i_data, dut.o_weights, word) == 2

    simulate(dut, check)


def test_a_word_a_cycle():
    words = 600
    segments = {name: [] for name in READ_CLIENTS} | {"weights": [(0, words)]}
    bench = Bench(segments, random.Random(0)).run()
    assert bench.cycles <= words + 8
