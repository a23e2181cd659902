"""The write port: exactly the rows' bytes reach memory, in bursts that AXI4 allows."""

import random
from dataclasses import replace

import pytest

from hw.contract.presets import preset
from hw.memory.write import WritePort
from tests.harness.memory import PortWrites
from tests.harness.streams import feed, simulate

TEST = preset("test")
VARIANTS = {
    64: TEST,
    128: replace(TEST, axi_data_width=128, banks=16),
    256: replace(TEST, axi_data_width=256, banks=16),
}
GAPS = [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.9), (0.3, 0.4, 0.3)]


class Bench:
    """Rows (byte address, bytes) written through a port, and what was seen of it."""

    def __init__(self, params, rows, rng, idle=0.0, stall=0.0, late=0.0, failed=()):
        self.params, self.rows = params, rows
        self.dut = WritePort(params)
        self.memory = PortWrites(params, rng, idle=late, stall=stall, failed=failed)
        self.failures = self.bytes = self.cycles = 0
        self.peak = 0  # of unacknowledged bursts
        self._rng, self._idle = rng, idle

    def run(self):
        simulate(self.dut, self._rows, self._words, self._watch, background=[self._memory])
        return self

    async def _rows(self, ctx):
        width = self.params.axi_bytes
        payloads = [
            {"address": a // width, "first": a % width, "bytes": len(raw)} for a, raw in self.rows
        ]
        await feed(ctx, self.dut.i_row, payloads, self._rng, self._idle)

    async def _words(self, ctx):
        words = [word for row in self.rows for word in words_of(self.params, *row)]
        await feed(ctx, self.dut.i, words, self._rng, self._idle)

    async def _memory(self, ctx):
        dut = self.dut
        await self.memory.run(ctx, dut.o_address, dut.o_data, dut.i_response)

    async def _watch(self, ctx):
        dut = self.dut
        rows_left = len(self.rows)
        busy = 1
        while busy or rows_left:
            _, _, busy, taken, failed, count = await ctx.tick().sample(
                dut.busy, dut.i_row.valid & dut.i_row.ready, dut.failed, dut.bytes
            )
            assert busy or not self.memory.unacknowledged
            self.peak = max(self.peak, self.memory.unacknowledged)
            rows_left -= taken
            self.failures += failed
            self.bytes += count
            self.cycles += 1


def words_of(params, address, raw):
    """Return a row's bytes as memory words; what the first and last do not hold is not zero."""
    raw = b"\xa5" * (address % params.axi_bytes) + raw
    raw += b"\xa5" * (-len(raw) % params.axi_bytes)
    starts = range(0, len(raw), params.axi_bytes)
    return [int.from_bytes(raw[start : start + params.axi_bytes], "little") for start in starts]


def contents(rows):
    """Return the bytes that rows come to, by address."""
    written = {}
    for address, raw in rows:
        written |= dict(enumerate(raw, address))
    return written


def row_of(rng, address, length):
    return address, bytes(rng.choice([0, 255, rng.getrandbits(8)]) for _ in range(length))


def rows_around_pages(params, rng):
    """Rows of every length that matters, many of which begin a little before 4 KiB."""
    word, burst = params.axi_bytes, params.max_burst_words * params.axi_bytes
    lengths = [1, 2, 3, 4, word - 1, word, word + 1, 2 * word - 4, burst, burst + 1, 3 * burst - 4]
    rows, address = [], 0
    for index in range(44):
        before = rng.choice([0, 1, 4, word, word + 4, 2 * word, burst - 3, burst, 2 * burst])
        address += 4096 + -address % 4096 - before
        rows.append(row_of(rng, address, lengths[index % len(lengths)]))
        address += 4 * burst
    return rows


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize("idle, stall, late", GAPS)
def test_exactly_the_bytes_are_written(width, idle, stall, late, seed):
    rng = random.Random(seed)
    params = VARIANTS[width]
    rows = rows_around_pages(params, rng)
    bench = Bench(params, rows, rng, idle, stall, late).run()
    expected = contents(rows)
    assert bench.memory.bytes == expected
    assert bench.bytes == len(expected)
    assert bench.failures == 0


@pytest.mark.parametrize("width", VARIANTS)
def test_every_first_and_last_byte_of_a_word(width, seed):
    """Rows within a word, and those that touch the next one; neighbours stay as they are."""
    rng, size = random.Random(seed), width // 8
    rows = [
        row_of(rng, 64 * size * (first * 2 * size + length) + first, length)
        for first in range(size)
        for length in range(1, size + 2)
    ]
    bench = Bench(VARIANTS[width], rows, rng, stall=0.2).run()
    assert bench.memory.bytes == contents(rows)
    words = sum(-(-(address % size + len(raw)) // size) for address, raw in rows)
    assert sum(count for _, count in bench.memory.bursts) == words


def test_the_longest_row_is_counted_through():
    """Its first bursts, one after the other, from the middle of a page on."""
    dut = WritePort(TEST)

    async def check(ctx):
        ctx.set(dut.i_row.payload, {"address": 0x1230, "first": 0, "bytes": (1 << 26) - 4})
        for stream in (dut.i_row, dut.i):
            ctx.set(stream.valid, 1)
        for stream in (dut.o_address, dut.o_data):
            ctx.set(stream.ready, 1)
        address = 0x1230
        for _ in range(2000):
            _, _, taken, burst, row = await ctx.tick().sample(
                dut.o_address.valid, dut.o_address.payload, dut.i_row.ready
            )
            assert row == (address == 0x1230 and not taken)
            if taken:
                assert (burst.address, burst.words) == (address, TEST.max_burst_words)
                address += burst.words
        assert address > 0x1230 + 1500

    simulate(dut, check)


def test_every_failed_burst_is_reported(seed):
    rng = random.Random(seed)
    rows = [row_of(rng, 800 * index, 4 * TEST.tile_outputs) for index in range(20)]
    failed = {100 * index for index in (0, 7, 8, 19)}
    bench = Bench(TEST, rows, rng, stall=0.3, late=0.5, failed=failed).run()
    assert bench.failures == len(failed)


def test_busy_waits_for_memory_that_acknowledges_rarely(seed):
    rng = random.Random(seed)
    rows = [row_of(rng, 800 * index, 8) for index in range(60)]
    bench = Bench(TEST, rows, rng, late=0.97).run()
    assert bench.peak > 30
    assert bench.memory.unacknowledged == 0
    assert bench.memory.bytes == contents(rows)


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize("elements", [1, 2, 17, 32])
def test_timing(width, elements):
    rows = [row_of(random.Random(0), 3200 * index, 4 * elements) for index in range(1, 9)]
    bench = Bench(VARIANTS[width], rows, random.Random(0)).run()
    words = -(-elements // VARIANTS[width].encode_lanes)
    # The last acknowledgement takes two cycles more.
    assert bench.cycles == len(rows) * (1 + words) + 2 * len(bench.memory.bursts) + 2
