"""The reader that runs ahead: all words in order, never more under way than there is room for."""

import random

import pytest

from hw.contract.presets import preset
from hw.control.ahead import Ahead
from tests.harness.memory import noise, serve
from tests.harness.streams import collect, simulate

TEST = preset("test")
WIDTH = TEST.axi_data_width
ROOM = 24


class Bench:
    """A reader with its memory, which takes its time."""

    def __init__(self, rng, stall=0.0):
        self.dut, self.rng, self.stall = Ahead(TEST, ROOM), rng, stall
        self.segments = []  # asked for

    def run(self, *testbenches):
        simulate(self.dut, *testbenches, background=[self._memory])

    async def start(self, ctx, address, words, segments):
        dut = self.dut
        ctx.set(dut.start, 1)
        for port, value in ((dut.address, address), (dut.words, words), (dut.segments, segments)):
            ctx.set(port, value)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def take(self, ctx, count):
        return await collect(ctx, self.dut.o_words, count, self.rng, self.stall)

    async def empty(self, ctx):
        """Stop it; nothing comes out until it is quiet, and what is on offer stays until taken."""
        dut, request = self.dut, self.dut.o_request
        ctx.set(dut.stop, 1)
        ctx.set(dut.o_words.ready, self.rng.getrandbits(1))
        quiet = waits = 0
        while not quiet:
            _, _, quiet, valid, offered, taken = await ctx.tick().sample(
                dut.quiet, dut.o_words.valid, request.valid, request.ready
            )
            assert not valid
            assert offered or not waits
            waits = offered and not taken
        ctx.set(dut.stop, 0)

    async def _memory(self, ctx):
        dut, stall = self.dut, self.stall
        read = self._word
        await serve(ctx, dut.o_request, dut.i_words, read, self.rng, stall, stall, self.segments)

    def _word(self, address):
        return noise(address, WIDTH)


def expected(address, words, segments):
    return [noise(address + index, WIDTH) for index in range(words * segments)]


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_every_word_once_and_in_order(stall, seed):
    """Run after run; the next one starts while words of the one before are under way."""
    rng = random.Random(seed)
    bench = Bench(rng, stall)
    runs = [(rng.getrandbits(30), rng.randint(1, ROOM), rng.randint(0, 9)) for _ in range(20)]

    async def start(ctx):
        for index, (address, words, segments) in enumerate(runs, 1):
            await bench.start(ctx, address, words, segments)
            while len(bench.segments) < sum(count for _, _, count in runs[:index]):
                await ctx.tick()

    async def take(ctx):
        assert await bench.take(ctx, len(all_words)) == all_words
        await ctx.tick().repeat(20)
        assert not ctx.get(bench.dut.o_words.valid)

    all_words = [word for run in runs for word in expected(*run)]
    bench.run(start, take)
    assert bench.segments == [
        (address + index * words, words)
        for address, words, segments in runs
        for index in range(segments)
    ]


@pytest.mark.parametrize("words", [1, 5, ROOM // 2, ROOM // 2 + 1, ROOM])
def test_as_many_words_are_under_way_as_there_is_room_for(words, seed):
    bench = Bench(random.Random(seed))

    async def check(ctx):
        await bench.start(ctx, 1000, words, 100)
        await ctx.tick().repeat(3 * ROOM)
        assert len(bench.segments) == ROOM // words
        for taken in range(1, 3 * words):
            await bench.take(ctx, 1)
            await ctx.tick().repeat(5)
            assert len(bench.segments) == (ROOM + taken) // words

    bench.run(check)


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_what_was_read_ahead_is_thrown_away(stall, seed):
    """After any number of words, with segments on offer too; then it reads elsewhere."""
    rng = random.Random(seed)
    bench = Bench(rng, stall)

    async def check(ctx):
        for _ in range(80):
            run = rng.getrandbits(30), rng.randint(1, ROOM), 50
            await bench.start(ctx, *run)
            count = rng.randint(0, 2 * ROOM)
            assert await bench.take(ctx, count) == expected(*run)[:count]
            await ctx.tick().repeat(rng.choice((1, 1, 2, 20)))
            await bench.empty(ctx)
            asked = len(bench.segments)
            await ctx.tick().repeat(5)
            assert len(bench.segments) == asked

    bench.run(check)


def test_timing():
    """A segment 1 cycle after the start, then one a cycle; quiet 1 cycle after a stop."""
    bench = Bench(random.Random(0))
    dut = bench.dut

    async def check(ctx):
        ctx.set(dut.o_request.ready, 1)
        assert ctx.get(dut.quiet) and not ctx.get(dut.o_request.valid)
        await bench.start(ctx, 1000, 1, 5)
        for index in range(5):
            assert ctx.get(dut.o_request.valid)
            assert ctx.get(dut.o_request.payload.address) == 1000 + index
            await ctx.tick()
        assert not ctx.get(dut.o_request.valid)
        ctx.set(dut.o_words.ready, 1)
        ctx.set(dut.i_words.valid, 1)
        await ctx.tick().repeat(5)
        ctx.set(dut.i_words.valid, 0)
        ctx.set(dut.stop, 1)
        assert not ctx.get(dut.quiet)
        await ctx.tick()
        assert ctx.get(dut.quiet)

    simulate(dut, check)
