"""The write port: exactly the elements' bytes reach memory, in bursts that AXI4 allows."""

import random
from dataclasses import replace

import pytest

from hw.presets import preset
from hw.write import WritePort
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
    """Rows (word address, elements) written through a port, and what was seen of it."""

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
        payloads = [{"address": a, "elements": len(values)} for a, values in self.rows]
        await feed(ctx, self.dut.i_row, payloads, self._rng, self._idle)

    async def _words(self, ctx):
        words = [word for _, values in self.rows for word in words_of(self.params, values)]
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


def raw_of(values):
    return b"".join((value % (1 << 32)).to_bytes(4, "little") for value in values)


def words_of(params, values):
    """Return a row's elements as memory words; what the last one does not hold is not zero."""
    raw = raw_of(values)
    raw += b"\xa5" * (-len(raw) % params.axi_bytes)
    starts = range(0, len(raw), params.axi_bytes)
    return [int.from_bytes(raw[start : start + params.axi_bytes], "little") for start in starts]


def contents(params, rows):
    """Return the bytes that rows come to, by address."""
    written = {}
    for address, values in rows:
        written |= dict(enumerate(raw_of(values), address * params.axi_bytes))
    return written


def row_of(rng, address, elements):
    return address, [rng.choice([0, -1, rng.getrandbits(32)]) for _ in range(elements)]


def rows_around_pages(params, rng):
    """Rows of every length that matters, many of which begin a little before 4 KiB."""
    page_words, lanes = 4096 // params.axi_bytes, params.encode_lanes
    full, burst = params.tile_outputs, params.max_burst_words * lanes
    lengths = [1, lanes, lanes + 1, 2 * lanes - 1, burst, burst + 1, full - 1, full]
    rows, address = [], 0
    for index in range(30):
        address += page_words - address % page_words - rng.choice([0, 1, 2, 5, full // lanes])
        rows.append(row_of(rng, address, min(full, lengths[index % len(lengths)])))
        address += -(-full // lanes) + page_words
    return rows


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize("idle, stall, late", GAPS)
def test_exactly_the_elements_are_written(width, idle, stall, late, seed):
    rng = random.Random(seed)
    params = VARIANTS[width]
    rows = rows_around_pages(params, rng)
    bench = Bench(params, rows, rng, idle, stall, late).run()
    expected = contents(params, rows)
    assert bench.memory.bytes == expected
    assert bench.bytes == len(expected)
    assert bench.failures == 0


def test_every_failed_burst_is_reported(seed):
    rng = random.Random(seed)
    rows = [row_of(rng, 100 * index, TEST.tile_outputs) for index in range(20)]
    failed = {100 * index for index in (0, 7, 8, 19)}
    bench = Bench(TEST, rows, rng, stall=0.3, late=0.5, failed=failed).run()
    assert bench.failures == len(failed)


def test_busy_waits_for_memory_that_acknowledges_rarely(seed):
    rng = random.Random(seed)
    rows = [row_of(rng, 100 * index, 2) for index in range(60)]
    bench = Bench(TEST, rows, rng, late=0.97).run()
    assert bench.peak > 30
    assert bench.memory.unacknowledged == 0
    assert bench.memory.bytes == contents(TEST, rows)


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize("elements", [1, 2, 17, 32])
def test_timing(width, elements):
    rows = [row_of(random.Random(0), 100 * index, elements) for index in range(1, 9)]
    bench = Bench(VARIANTS[width], rows, random.Random(0)).run()
    words = -(-elements // VARIANTS[width].encode_lanes)
    # The last acknowledgement takes two cycles more.
    assert bench.cycles == len(rows) * (1 + words) + 2 * len(bench.memory.bursts) + 2
