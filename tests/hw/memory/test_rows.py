"""The rows' multiplexer: each row is followed by its own words, and nobody waits for ever."""

import random
from dataclasses import replace

import pytest

from hw.contract.presets import preset
from hw.memory.rows import WRITE_CLIENTS, RowMux
from hw.memory.write import row_layout
from tests.harness.streams import collect, feed, simulate

TEST = preset("test")
VARIANTS = {
    64: TEST,
    128: replace(TEST, axi_data_width=128, banks=16),
    256: replace(TEST, axi_data_width=256, banks=16),
}


def rows_of(params, rng, client, count):
    """Return rows, each with its words; both say whose they are."""
    rows = []
    for index in range(count):
        row = {
            "address": client << 20 | index,
            "first": rng.randrange(params.axi_bytes),
            "bytes": rng.choice([1, 4, rng.randint(1, 9 * params.axi_bytes)]),
        }
        words = -(-(row["first"] + row["bytes"]) // params.axi_bytes)
        rows.append((row, [client << 40 | index << 20 | word for word in range(words)]))
    return rows


class Bench:
    """Clients that want their rows written, and the rows, with their words, that came out."""

    def __init__(self, params, rows, rng, idle=0.0, stall=0.0):
        self.params, self.rows = params, rows
        self.dut = RowMux(params)
        self.written = []  # of (row, words)
        self.cycles = 0
        self._rng, self._idle, self._stall = rng, idle, stall

    def run(self):
        """Words come whenever they want: also while another client's row is written."""
        drivers = [
            drive
            for name, rows in zip(WRITE_CLIENTS, self.rows, strict=True)
            for drive in (
                self._feed(f"i_row_{name}", [row for row, _ in rows]),
                self._feed(f"i_{name}", [word for _, words in rows for word in words]),
            )
        ]
        simulate(self.dut, *drivers, self._take, background=[self._count])
        return self

    def _feed(self, name, payloads):
        async def drive(ctx):
            await feed(ctx, getattr(self.dut, name), payloads, self._rng, self._idle)

        return drive

    async def _take(self, ctx):
        dut, rng = self.dut, self._rng
        for _ in range(sum(map(len, self.rows))):
            assert not ctx.get(dut.busy)
            (raw,) = await collect(ctx, dut.o_row, 1, rng, self._stall)
            row = row_layout(self.params).from_bits(raw)
            row = {name: getattr(row, name) for name in ("address", "first", "bytes")}
            words = -(-(row["first"] + row["bytes"]) // self.params.axi_bytes)
            assert ctx.get(dut.busy)
            self.written.append((row, await collect(ctx, dut.o, words, rng, self._stall)))
        self.last_cycle = self.cycles + 1  # the one that just ended counts too

    async def _count(self, ctx):
        async for _ in ctx.tick():
            self.cycles += 1


@pytest.mark.parametrize("width", VARIANTS)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (0.4, 0.4)])
def test_every_row_is_followed_by_its_words(width, idle, stall, seed):
    rng = random.Random(seed)
    params = VARIANTS[width]
    rows = [rows_of(params, rng, client, 25) for client in range(len(WRITE_CLIENTS))]
    bench = Bench(params, rows, rng, idle, stall).run()
    for client, wanted in enumerate(rows):
        got = [(row, words) for row, words in bench.written if row["address"] >> 20 == client]
        assert got == wanted, WRITE_CLIENTS[client]


def test_the_first_client_goes_first(seed):
    """All want to write all the time."""
    rng = random.Random(seed)
    rows = [rows_of(TEST, rng, client, 5) for client in range(len(WRITE_CLIENTS))]
    bench = Bench(TEST, rows, rng).run()
    assert [row["address"] >> 20 for row, _ in bench.written] == [0] * 5 + [1] * 5 + [2] * 5


def test_a_row_on_offer_stays_on_offer():
    """Also where a client that goes first comes with another one."""
    dut = RowMux(TEST)

    async def check(ctx):
        ctx.set(dut.i_row_cache.payload, {"address": 9, "first": 1, "bytes": 3})
        ctx.set(dut.i_row_results.payload, {"address": 5, "first": 0, "bytes": 4})
        ctx.set(dut.i_row_cache.valid, 1)
        await ctx.tick()
        ctx.set(dut.i_row_results.valid, 1)
        for _ in range(3):
            assert ctx.get(dut.o_row.valid) and ctx.get(dut.o_row.payload).address == 9
            assert not ctx.get(dut.i_row_results.ready)
            await ctx.tick()
        ctx.set(dut.o_row.ready, 1)
        assert ctx.get(dut.i_row_cache.ready) and not ctx.get(dut.i_row_results.ready)

    simulate(dut, check)


def test_the_longest_row():
    """It ends after its last word and no sooner."""
    dut = RowMux(TEST)
    words = 1 << 23

    async def check(ctx):
        ctx.set(dut.i_row_vectors.payload, {"address": 0, "first": 0, "bytes": 8 * words - 4})
        ctx.set(dut.i_row_vectors.valid, 1)
        ctx.set(dut.o_row.ready, 1)
        await ctx.tick()
        ctx.set(dut.i_row_vectors.valid, 0)
        ctx.set(dut.i_vectors.valid, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(1000):
            assert ctx.get(dut.o.valid) and ctx.get(dut.i_vectors.ready)
            await ctx.tick()
        assert ctx.get(dut.busy)

    simulate(dut, check)


def test_timing():
    rng = random.Random(0)
    rows = [[], rows_of(TEST, rng, 1, 30), []]
    bench = Bench(TEST, rows, rng).run()
    assert bench.last_cycle == sum(1 + len(words) for _, words in rows[1])
