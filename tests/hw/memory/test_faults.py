"""The log of faults: the first one, with the address of its word, whatever else goes on."""

import random
from collections import deque

import pytest

from hw.contract.presets import preset
from hw.contract.regs import FaultKind
from hw.memory.faults import FaultLog
from hw.memory.port import MOST_WRITES, READ_CLIENTS, queue_depths, word_address_width
from tests.harness.streams import simulate

PARAMS = preset("test")
WORD = PARAMS.axi_bytes
DEPTHS = list(queue_depths(PARAMS).values())
TOLD_CYCLES = 3


class Bus:
    """Random bursts and their answers, a cycle at a time, and the fault that must be told.

    Parameters
    ----------
    rng
        Random numbers.
    failing : float
        Probability that an answer has failed.
    """

    def __init__(self, rng, failing):
        self.dut = FaultLog(PARAMS)
        self.rng, self.failing = rng, failing
        self.reads = [deque() for _ in READ_CLIENTS]  # of (address, words left)
        self.writes = deque()
        self.fault = None

    def note(self, kind, client, address):
        if self.fault is None:
            self.fault = kind, client, address * WORD

    async def cycle(self, ctx, answers=True):
        dut, rng = self.dut, self.rng
        address = rng.getrandbits(word_address_width(PARAMS) - 8)
        client, words = rng.randrange(len(READ_CLIENTS)), rng.choice([1, 1, 2, 16])
        held = sum(words for _, words, _ in self.reads[client])
        asked = rng.random() < 0.5 and held + words <= DEPTHS[client]
        ctx.set(dut.asked, asked)
        ctx.set(dut.read, {"burst": {"address": address, "words": words}, "client": client})
        waiting = [index for index, bursts in enumerate(self.reads) if bursts]
        came = bool(waiting) and answers and rng.random() < 0.7
        ctx.set(dut.came, came)
        failed = rng.random() < self.failing
        if came:
            index = rng.choice(waiting)
            first, left, whole = self.reads[index][0]
            self.reads[index][0] = first, left - 1, whole
            if left == 1:
                self.reads[index].popleft()
            ctx.set(dut.client, index)
            ctx.set(dut.last, left == 1)
            ctx.set(dut.read_failed, failed)
            if failed:
                self.note(FaultKind.READ, index, first + whole - left)
        if asked:
            self.reads[client].append((address, words, words))
        addressed = rng.random() < 0.3 and len(self.writes) < MOST_WRITES
        answered = bool(self.writes) and answers and rng.random() < 0.3
        ctx.set(dut.addressed, addressed)
        ctx.set(dut.write, {"address": address ^ 0x55, "words": 1})
        ctx.set(dut.answered, answered)
        failed = rng.random() < self.failing
        ctx.set(dut.write_failed, failed)
        if answered:
            first = self.writes.popleft()
            if failed:
                self.note(FaultKind.WRITE, 0, first)
        if addressed:
            self.writes.append(address ^ 0x55)
        await ctx.tick()

    async def quiet(self, ctx):
        for name in ("asked", "came", "addressed", "answered", "missed", "refused"):
            ctx.set(getattr(self.dut, name), 0)

    async def pulse(self, ctx, name):
        await self.quiet(ctx)
        ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut, name), 0)

    async def told(self, ctx):
        await self.quiet(ctx)
        await ctx.tick().repeat(TOLD_CYCLES)
        dut = self.dut
        return FaultKind(ctx.get(dut.kind)), ctx.get(dut.reader), ctx.get(dut.address)


@pytest.mark.parametrize("failing", [0.0, 0.002, 0.05, 1.0])
def test_the_first_fault_of_each_run_is_told(seed, failing):
    bus = Bus(random.Random(seed), failing)

    async def check(ctx):
        kinds = set()
        for _ in range(100):
            for _ in range(bus.rng.choice([1, 10, 300])):
                await bus.cycle(ctx)
            told = await bus.told(ctx)
            assert told == (bus.fault or (FaultKind.NONE, 0, 0))
            kinds.add(told[0])
            await bus.pulse(ctx, "clear")
            bus.fault = None
        assert failing != 0.05 or kinds >= {FaultKind.READ, FaultKind.WRITE}

    simulate(bus.dut, check)


def test_what_never_came_is_told(seed):
    bus = Bus(random.Random(seed), 0.0)

    async def check(ctx):
        for _ in range(30):
            for _ in range(bus.rng.choice([0, 1, 5, 50])):
                await bus.cycle(ctx)
            await bus.quiet(ctx)
            await ctx.tick().repeat(2)
            await bus.pulse(ctx, "missed")
            expected = FaultKind.NONE, 0, 0
            if bus.writes:
                expected = FaultKind.WRITE, 0, bus.writes[0] * WORD
            for index, bursts in reversed(list(enumerate(bus.reads))):
                if bursts:
                    first, left, whole = bursts[0]
                    expected = FaultKind.READ, index, (first + whole - left) * WORD
            assert await bus.told(ctx) == expected
            await bus.pulse(ctx, "clear")
            await bus.pulse(ctx, "forget")
            bus.reads = [deque() for _ in READ_CLIENTS]
            bus.writes.clear()

    simulate(bus.dut, check)


def test_a_refused_instruction_takes_the_place_of_what_was_before(seed):
    bus = Bus(random.Random(seed), 1.0)

    async def check(ctx):
        for _ in range(100):
            await bus.cycle(ctx)
        assert (await bus.told(ctx))[0] is not FaultKind.NONE
        ctx.set(bus.dut.slot, 0x1234)
        await bus.pulse(ctx, "refused")
        assert await bus.told(ctx) == (FaultKind.INSTRUCTION, 0, 0x1234 * WORD)
        for _ in range(100):
            await bus.cycle(ctx)
        assert await bus.told(ctx) == (FaultKind.INSTRUCTION, 0, 0x1234 * WORD)

    simulate(bus.dut, check)


def test_no_ring_is_too_short_for_bursts_of_one_word():
    bus = Bus(random.Random(1), 0.0)

    async def check(ctx):
        dut = bus.dut
        for client, depth in enumerate(DEPTHS):
            for index in range(depth):
                ctx.set(dut.asked, 1)
                ctx.set(dut.read, {"burst": {"address": index, "words": 1}, "client": client})
                await ctx.tick()
            await bus.quiet(ctx)
            for index in range(depth):
                ctx.set(dut.came, 1)
                ctx.set(dut.client, client)
                ctx.set(dut.last, 1)
                ctx.set(dut.read_failed, index == depth - 1)
                await ctx.tick()
            assert await bus.told(ctx) == (FaultKind.READ, client, (depth - 1) * WORD)
            await bus.pulse(ctx, "clear")

    simulate(bus.dut, check)
