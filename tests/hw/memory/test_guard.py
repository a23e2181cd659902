"""The guard with real ports behind it: ended in any cycle, the bus stays legal, the next run right.

The memory answers late, mixes its IDs, and loses or delays responses where it is told to.
"""

import random
from collections import deque

import pytest
from amaranth import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from hw.contract.presets import preset
from hw.contract.regs import Error
from hw.memory.guard import Guard
from hw.memory.port import MOST_WRITES, READ_CLIENTS
from hw.memory.read import ReadPort
from hw.memory.write import WritePort
from tests.harness.memory import noise
from tests.harness.streams import StreamRule, simulate, to_int

PARAMS = preset("test")
WIDTH = PARAMS.axi_data_width
ALL_BYTES = (1 << PARAMS.axi_bytes) - 1
CLOSING_CYCLES = 4
EPOCHS = 4


class Guarded(wiring.Component):
    """Read and write port, reset by a guard."""

    def __init__(self):
        self.guard, self.read, self.write = Guard(PARAMS), ReadPort(PARAMS), WritePort(PARAMS)
        super().__init__({})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        guard, read, write = self.guard, self.read, self.write
        m.submodules.guard = guard
        m.submodules.read = ResetInserter(guard.reset)(read)
        m.submodules.write = ResetInserter(guard.reset)(write)
        connect(m, read.o_address, guard.i_read)
        connect(m, write.o_address, guard.i_write)
        connect(m, write.o_data, guard.i_write_data)
        connect(m, guard.o_read_data, read.i_data)
        connect(m, guard.o_response, write.i_response)
        return m


class Memory:
    """Checks AXI's rules and answers, in order of each ID.

    Parameters
    ----------
    guard, rng
        Its port, random numbers.
    stall, idle : float
        Probability that it does not take, and does not answer, in a cycle.
    first : str, optional
        What of a write it wants to see before it takes the other: address or data.
    """

    def __init__(self, guard, rng, stall=0.3, idle=0.3, first=None):
        self.guard, self.rng, self.stall, self.idle, self.first = guard, rng, stall, idle, first
        self.reads = {}  # by (epoch, client): words as (address, whether the last)
        self.writes = deque()  # epochs of complete bursts
        self.bursts = deque()  # addresses taken, as (word address, words, epoch), not complete
        self.words = deque()  # of the first, or of one whose address has not been taken
        self.bytes = {}
        self.mute = False
        self.closed_words = 0
        self._rules = [StreamRule() for _ in range(3)]

    def lose(self):
        """Never answer what is under way."""
        self.reads.clear()
        self.writes.clear()

    def older(self, epoch):
        """Return whether something is under way that is not of this epoch."""
        reads = any(words for (of, _), words in self.reads.items() if of != epoch)
        return reads or any(of != epoch for of in self.writes)

    async def run(self, ctx):
        guard, rng = self.guard, self.rng
        offers = guard.o_read, guard.o_write, guard.o_write_data
        epoch = client = 0
        word_waits = False
        while True:
            ready = [rng.random() >= self.stall for _ in offers]
            if self.first == "data":
                ready[1] &= bool(self.words) or (word_waits and not self.bursts)
            if self.first == "address":
                ready[2] &= bool(self.bursts)
            for offer, takes in zip(offers, ready, strict=True):
                ctx.set(offer.ready, takes)
            waiting = [key for key, words in self.reads.items() if words]
            word = bool(waiting) and not self.mute and rng.random() >= self.idle
            ctx.set(guard.i_read_data.valid, word)
            if word:
                epoch, client = rng.choice(waiting)
                address, last = self.reads[epoch, client][0]
                answer = {"data": noise(address, WIDTH), "client": client, "failed": 0}
                ctx.set(guard.i_read_data.payload, answer | {"epoch": epoch, "last": last})
            response = bool(self.writes) and not self.mute and rng.random() >= self.idle
            ctx.set(guard.i_response.valid, response)
            if response:
                answer = {"epoch": self.writes.popleft(), "failed": 0}
                ctx.set(guard.i_response.payload, answer)
            sampled = [s for offer in offers for s in (offer.valid, offer.payload)]
            _, _, *seen, word_taken, epoch_now, closed = await ctx.tick().sample(
                *sampled, guard.i_read_data.ready, guard.epoch, guard.closed
            )
            taken = [
                rule.check(valid, takes, payload)
                for rule, valid, payload, takes in zip(
                    self._rules, seen[::2], seen[1::2], ready, strict=True
                )
            ]
            if word and word_taken:
                self.reads[epoch, client].popleft()
            if taken[0]:
                burst = seen[1].burst
                key = epoch_now, seen[1].client
                words = [(burst.address + i, i == burst.words - 1) for i in range(burst.words)]
                self.reads.setdefault(key, deque()).extend(words)
            offered = seen[3].words if seen[2] else 0
            if taken[1]:
                assert not self.bursts, "an address came before the words of the one before"
                self.bursts.append((seen[3].address, offered, epoch_now))
            if seen[4]:
                owed = self.bursts[0][1] if self.bursts else offered
                assert len(self.words) < owed, "a word without its address"
                assert seen[5].last == (len(self.words) == owed - 1), "WLAST"
            word_waits = seen[4] and not taken[2]
            if taken[2]:
                self.words.append((to_int(seen[5].data), to_int(seen[5].strobe)))
                self.closed_words += closed and not self.words[-1][1]
            if self.bursts and len(self.words) == self.bursts[0][1]:
                self._store(*self.bursts.popleft())

    def _store(self, place, _, epoch):
        for at, (data, strobe) in enumerate(self.words, place):
            for byte in range(PARAMS.axi_bytes):
                if strobe >> byte & 1:
                    self.bytes[at * PARAMS.axi_bytes + byte] = data >> 8 * byte & 255
        self.words.clear()
        self.writes.append(epoch)


class Host:
    """Asks the ports for random words and rows, until it is told that they are being reset."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng
        self.clear()

    def clear(self):
        self.asked = {name: deque() for name in READ_CLIENTS}
        self.right = 0
        self.row, self.words, self.written = None, deque(), {}

    async def run(self, ctx):
        dut, rng = self.dut, self.rng
        offers = {}
        while True:
            for name in READ_CLIENTS:
                segment = getattr(dut.read, f"i_{name}")
                if name not in offers and rng.random() < 0.1:
                    offers[name] = rng.getrandbits(20), rng.choice([1, 3, 16, 40])
                    address, words = offers[name]
                    ctx.set(segment.payload, {"address": address, "words": words})
                ctx.set(segment.valid, name in offers)
                ctx.set(getattr(dut.read, f"o_{name}").ready, rng.random() < 0.8)
            if self.row is None and not self.words and rng.random() < 0.2:
                self.row = rng.getrandbits(20), rng.randint(1, 40)
                ctx.set(
                    dut.write.i_row.payload,
                    {"address": self.row[0], "first": 0, "bytes": self.row[1] * PARAMS.axi_bytes},
                )
            ctx.set(dut.write.i_row.valid, self.row is not None)
            word = bool(self.words) and rng.random() < 0.5
            ctx.set(dut.write.i.valid, word)
            if word:
                ctx.set(dut.write.i.payload, noise(self.words[0], WIDTH))
            ports = [getattr(dut.read, f"i_{n}").ready for n in READ_CLIENTS]
            for name in READ_CLIENTS:
                stream = getattr(dut.read, f"o_{name}")
                ports += [stream.valid & stream.ready, stream.payload]
            _, _, reset, row_taken, word_taken, *seen = await ctx.tick().sample(
                dut.guard.reset, dut.write.i_row.ready, dut.write.i.ready, *ports
            )
            if reset:
                offers = {}
                self.clear()
                continue
            for index, name in enumerate(READ_CLIENTS):
                if name in offers and seen[index]:
                    address, words = offers.pop(name)
                    self.asked[name].extend(range(address, address + words))
                came, data = seen[len(READ_CLIENTS) + 2 * index :][:2]
                if came and not ctx.get(dut.guard.closed):
                    assert data == noise(self.asked[name].popleft(), WIDTH), name
                    self.right += 1
            if word and word_taken:
                address = self.words.popleft() * PARAMS.axi_bytes
                raw = noise(address // PARAMS.axi_bytes, WIDTH).to_bytes(PARAMS.axi_bytes, "little")
                self.written |= dict(enumerate(raw, address))
            if self.row is not None and row_taken:
                self.words.extend(range(self.row[0], sum(self.row)))
                self.row = None


class Bench:
    """Both sides, and ends in between."""

    def __init__(self, seed, **pace):
        self.rng = random.Random(seed)
        self.dut = Guarded()
        self.memory = Memory(self.dut.guard, self.rng, **pace)
        self.host = Host(self.dut, self.rng)
        self.ends = []

    def run(self, check):
        simulate(self.dut, check, background=[self.memory.run, self.host.run, self._watch])

    async def _watch(self, ctx):
        guard = self.dut.guard
        async for _, _, ended, error in ctx.tick().sample(guard.ended, guard.error):
            if ended:
                self.ends.append(Error(error))

    async def pulse(self, ctx, name, running=True):
        ctx.set(self.dut.guard.running, running)
        ctx.set(getattr(self.dut.guard, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut.guard, name), 0)
        ctx.set(self.dut.guard.running, 0)  # whatever runs is as good as ended

    async def until_open(self, ctx):
        cycles = 0
        while ctx.get(self.dut.guard.closed):
            await ctx.tick()
            cycles += 1
        await ctx.tick()  # the others have seen it
        return cycles


PACES = [
    {},
    {"stall": 0.8},
    {"stall": 0.0, "idle": 0.0},
    {"first": "data"},
    {"first": "address"},
]


@pytest.mark.parametrize("pace", PACES)
def test_aborts_at_any_moment(seed, pace):
    bench = Bench(seed, **pace)

    async def check(ctx):
        right = 0
        for round in range(12):
            await ctx.tick().repeat(bench.rng.choice([1, 7, 60, 150]))
            right += bench.host.right
            running = bool(round % 4)
            await bench.pulse(ctx, "abort", running)
            await bench.until_open(ctx)
            assert bench.ends == [Error.ABORTED] * running
            bench.ends.clear()
            assert not any(bench.memory.reads.values())
            assert not bench.memory.writes and not bench.memory.bursts and not bench.memory.words
        assert right > 20
        assert ctx.get(bench.dut.guard.epoch) == 0

    bench.run(check)
    assert pace or bench.memory.closed_words


@pytest.mark.parametrize("late", [False, True])
def test_lost_and_late_responses_are_given_up(seed, late):
    bench = Bench(seed)
    memory = bench.memory

    async def check(ctx):
        epoch = right = 0
        for round in range(10):
            await ctx.tick().repeat(bench.rng.choice([50, 120]))
            right += bench.host.right
            memory.mute = True
            if round % 2:
                await bench.pulse(ctx, "expired")
            else:
                await bench.pulse(ctx, "abort")
                await ctx.tick().repeat(60)
                under_way = bool(memory.writes or any(memory.reads.values()))
                assert ctx.get(bench.dut.guard.closed) == under_way
                await bench.pulse(ctx, "abort", False)
            await bench.until_open(ctx)
            epoch += bool(memory.writes or any(memory.reads.values()))
            assert ctx.get(bench.dut.guard.epoch) == epoch % EPOCHS
            assert bench.ends == [Error.WATCHDOG if round % 2 else Error.ABORTED]
            bench.ends.clear()
            if not late:
                memory.lose()
            memory.mute = False
            # An epoch comes again after four; by then what is late has come, or never will.
            while round % 2 and memory.older(ctx.get(bench.dut.guard.epoch)):
                await ctx.tick()
        assert epoch > 7 and right > 20

    bench.run(check)


def test_nothing_to_wait_for_takes_a_few_cycles():
    bench = Bench(1, stall=0.0, idle=0.0)

    async def check(ctx):
        await bench.pulse(ctx, "abort")
        assert await bench.until_open(ctx) == CLOSING_CYCLES

    simulate(bench.dut, check, background=[bench.memory.run])


def test_so_many_writes_wait_for_their_response_and_no_more(seed):
    bench = Bench(seed, stall=0.0)
    guard, memory = bench.dut.guard, bench.memory

    async def check(ctx):
        memory.mute = True
        for _ in range(20_000):
            await ctx.tick()
            assert len(memory.writes) + len(memory.bursts) <= MOST_WRITES
            if len(memory.writes) == MOST_WRITES:
                break
        await ctx.tick().repeat(300)
        assert len(memory.writes) == MOST_WRITES
        assert not ctx.get(guard.o_write.valid)
        memory.mute = False
        await ctx.tick().repeat(300)
        assert len(memory.writes) < MOST_WRITES
        await bench.pulse(ctx, "abort")
        await bench.until_open(ctx)

    bench.run(check)
