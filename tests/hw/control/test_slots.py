"""The reader of slots: their order along loops and jumps, records, lengths, and where it ends."""

import random

import pytest

from hw.contract.isa import INSTRUCTIONS, Opcode, unpack
from hw.contract.regs import Error
from hw.control.slots import Slots
from tests.harness.controller import WIDTHS, params_of
from tests.harness.memory import serve
from tests.harness.programs import (
    FINGERPRINT,
    LAYERED,
    PLAIN,
    PROGRAM,
    SAME,
    layers_of,
    program,
    record,
    slot,
)
from tests.harness.streams import feed, simulate

TIMEOUT_CYCLES = 1000


class Bench:
    """A reader of slots with its program in memory, and records that come in order."""

    def __init__(self, rng, width=64, stall=0.0):
        self.dut = Slots(params_of(width), FINGERPRINT)
        self.rng, self.width, self.stall = rng, width, stall
        self.program, self.records = b"", b""
        self.segments = []  # asked for

    def run(self, *testbenches):
        simulate(self.dut, *testbenches, background=[self._memory, self._records])

    async def start(self, ctx, raw, position=0):
        self.program = raw
        ctx.set(self.dut.position, position)
        ctx.set(self.dut.program, PROGRAM)
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)

    async def next(self, ctx, prefill=0):
        """Return the next slot, executed after a while; or the error."""
        dut = self.dut
        for _ in range(TIMEOUT_CYCLES):
            _, _, valid, error, payload = await ctx.tick().sample(
                dut.o.valid, dut.error, dut.o.payload
            )
            if valid or error != Error.NONE:
                break
        else:
            raise AssertionError(f"no slot and no error in {TIMEOUT_CYCLES} cycles")
        if not valid:
            return error
        while self.rng.random() < self.stall:
            await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == payload
        ctx.set(dut.prefill, prefill)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        ctx.set(dut.o.ready, 0)
        return payload.bits.to_bytes(32, "little"), payload.too_long

    async def stop(self, ctx):
        ctx.set(self.dut.stop, 1)
        await ctx.tick().until(self.dut.quiet)
        await ctx.tick()
        ctx.set(self.dut.stop, 0)

    async def _memory(self, ctx):
        dut, stall = self.dut, self.stall
        request, words = dut.o_request, dut.i_words
        await serve(ctx, request, words, self._word, self.rng, stall, stall, self.segments)

    def _word(self, address):
        size = self.width // 8
        start = address * size - PROGRAM
        return int.from_bytes(self.program[start : start + size].ljust(size, b"\xee"), "little")

    async def _records(self, ctx):
        size = self.width // 8
        raw = self.records
        words = [int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size)]
        await feed(ctx, self.dut.i_records, words, self.rng, self.stall)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_slots_in_the_order_of_execution(width, stall, seed):
    """A loop, then a PREFILL that skips all but every third time, and back, for ever."""
    first, a, b, skipped = (slot(Opcode.ENCODE, divisor=n) for n in range(1, 5))
    head, *body = layers_of(a, b, layers=3)
    prefill = slot(Opcode.PREFILL, slots=1)
    back = slot(Opcode.NEXT, slots=5)
    slots = [first, head, *body, prefill, skipped, back]
    bench = Bench(random.Random(seed), width, stall)

    async def check(ctx):
        for _ in range(2):
            await bench.start(ctx, program(*slots))
            assert await bench.next(ctx) == (first, 0)
            for index in range(6):
                prompt = index % 3 != 2
                for expected in (head, a, b, a, b, a, b, prefill, *[skipped] * (not prompt), back):
                    assert await bench.next(ctx, prompt) == (expected, 0)
            assert await bench.next(ctx) == (head, 0)
            while not ctx.get(bench.dut.o.valid):
                await ctx.tick()
            await bench.stop(ctx)

    bench.run(check)
    ends = [(address + count) * (width // 8) for address, count in bench.segments]
    assert max(ends) == PROGRAM + len(program(*slots)), "it reads beyond the last slot"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("position, too_long", [(0, 0), (1000, 0), (65530, 0), (65531, 1)])
def test_a_slot_with_its_record_and_the_position(width, position, too_long, seed):
    whole = slot(Opcode.ENCODE, layered=1, by_position=1, channels=5)
    slots = [*layers_of(LAYERED, LAYERED, layers=1, record_count=2), PLAIN]
    bench = Bench(random.Random(seed), width, 0.3)
    bench.records = record(LAYERED, whole) + SAME

    async def check(ctx):
        await bench.start(ctx, program(*slots), position)
        await bench.next(ctx)
        found, long = await bench.next(ctx)
        assert long == too_long
        channels = unpack(INSTRUCTIONS[Opcode.ENCODE], found)["channels"]
        assert channels == (5 + position) % (1 << 16)
        if not too_long:  # a program goes on
            assert await bench.next(ctx) == (LAYERED, 0)
            assert await bench.next(ctx) == (PLAIN, 0)

    bench.run(check)


@pytest.mark.parametrize(
    "raw, good, error",
    [
        (program(PLAIN, magic=0), 0, Error.BAD_MAGIC),
        (program(PLAIN, fingerprint=FINGERPRINT ^ 1), 0, Error.BAD_FINGERPRINT),
        (program(count=0), 0, Error.BAD_INSTRUCTION),
        (program(PLAIN, PLAIN, PLAIN, count=2), 2, Error.BAD_INSTRUCTION),
        (program(PLAIN, LAYERED), 1, Error.BAD_INSTRUCTION),
        (program(*layers_of(PLAIN, layers=2, record_count=1), PLAIN), 3, Error.BAD_INSTRUCTION),
    ],
)
def test_where_it_ends(raw, good, error, seed):
    bench = Bench(random.Random(seed), stall=0.2)

    async def check(ctx):
        for _ in range(2):
            await bench.start(ctx, raw)
            for _ in range(good):
                await bench.next(ctx)
            assert await bench.next(ctx) == error
            await bench.stop(ctx)

    bench.run(check)


def test_after_a_failure_no_slot_is_offered(seed):
    bench = Bench(random.Random(seed), stall=0.2)

    async def check(ctx):
        await bench.start(ctx, program(*[PLAIN] * 9))
        assert await bench.next(ctx) == (PLAIN, 0)
        ctx.set(bench.dut.failed, 1)
        found = await bench.next(ctx)
        if found == (PLAIN, 0):  # it was being read
            found = await bench.next(ctx)
        assert found == Error.BAD_INSTRUCTION

    bench.run(check)
