"""The controller: reads and writes that fail stop a program, and nothing wrong is executed."""

import random

import pytest

from hw.contract.isa import HEADER, SLOT_BYTES, Opcode
from hw.contract.regs import Error
from tests.harness.controller import TEST, WIDTHS, ControllerBench, run
from tests.harness.programs import (
    LAYERED,
    PLAIN,
    PROGRAM,
    RECORDS,
    SAME,
    TOKENS,
    fields,
    layers_of,
    program,
    record,
    slot,
)
from tests.harness.walk import walk


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("part", ["header", "slot 0", "slot 1", "slot 2"])
def test_what_could_not_be_read_is_not_executed(width, stall, part, seed):
    """Every word of a part in turn; instructions before it may be executed or not."""
    raw = program(slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.MATMUL, outputs=1))
    issued = [fields(Opcode.ENCODE), fields(Opcode.MATMUL)]
    if part == "header":
        start, end, before = 0, HEADER.size // 8, 0
    else:
        before = int(part[-1])
        start = HEADER.size // 8 + before * SLOT_BYTES
        end = start + SLOT_BYTES
    for failing in range(start, end, width // 8):
        error, got = run(raw, seed, failing=[failing], width=width, stall=stall)
        assert error == Error.READ_FAILED
        assert got == issued[: len(got)]
        assert len(got) <= before


@pytest.mark.parametrize("first", ["write", "read"])
def test_the_first_failure_is_the_programs_error(first, seed):
    bench = ControllerBench(random.Random(seed))
    raw = program(slot(Opcode.ENCODE), slot(Opcode.ENCODE, fence=1), slot(Opcode.END))
    bench.held = True

    async def fail(ctx):
        while not bench.issued:
            await ctx.tick()
        for kind in (first, "read" if first == "write" else "write"):
            await ctx.tick().repeat(20)
            bench.read_failures += kind == "read"
            ctx.set(bench.dut.write_failed, kind == "write")
            await ctx.tick()
            ctx.set(bench.dut.write_failed, 0)
        await ctx.tick().repeat(20)
        bench.held = False

    async def check(ctx):
        (error, *_) = await bench.execute(ctx, raw)
        assert error == (Error.WRITE_FAILED if first == "write" else Error.READ_FAILED)

    bench.run(check, fail)


@pytest.mark.parametrize(
    "signals, error",
    [
        (["write_failed"], Error.WRITE_FAILED),
        (["read_failed"], Error.READ_FAILED),
        (["read_failed", "write_failed"], Error.READ_FAILED),
    ],
)
@pytest.mark.parametrize("instructions", [1, 3])
def test_failures_of_units_stop_the_program(signals, error, instructions, seed):
    """While an instruction is executed, the last one too: END waits for what is under way."""
    bench = ControllerBench(random.Random(seed))
    slots = [slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.MATMUL)]
    fenced = slot(Opcode.ENCODE, fence=1)
    raw = program(*slots[:instructions], *[fenced] * (instructions == 1), slot(Opcode.END))
    bench.held = True
    found = []

    async def fail(ctx):
        while len(bench.issued) < instructions:
            await ctx.tick()
        await ctx.tick().repeat(50)
        assert not found
        bench.read_failures += "read_failed" in signals
        ctx.set(bench.dut.write_failed, "write_failed" in signals)
        await ctx.tick()
        ctx.set(bench.dut.write_failed, 0)
        bench.held = False

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))
        assert (await bench.execute(ctx, raw))[0] == Error.NONE

    bench.run(check, fail)
    # The fenced ENCODE was under way already: it waited for the one that failed.
    assert found[0] == error
    assert len(found[1]) == instructions + (instructions == 1)


def test_the_first_error_stands(seed):
    """A read fails, and what it should have brought is no instruction."""
    raw = program(slot(Opcode.ENCODE), b"\xee" * SLOT_BYTES)
    error, _ = run(raw, seed, failing=[HEADER.size // 8 + SLOT_BYTES])
    assert error == Error.READ_FAILED


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("where", ["slots", "records", "tokens"])
def test_what_a_loop_could_not_read_is_not_executed(width, stall, where, seed):
    """Every word in turn, with loops and jumps; and after it everything works again."""
    slots = [slot(Opcode.TOKEN), *layers_of(LAYERED, PLAIN, layers=2, record_count=2)]
    slots.append(slot(Opcode.NEXT, slots=len(slots)))
    records = [record(LAYERED, slot(Opcode.ENCODE, layered=1, divisor=n)) for n in (1, 2)]
    registers = {"end_position": 2, "stop_token": 1000}
    raw, tokens = program(*slots), [3, 4]
    words = {
        "slots": range(PROGRAM + HEADER.size // 8, PROGRAM + len(raw), width // 8),
        "records": range(RECORDS, RECORDS + 2 * SLOT_BYTES, width // 8),
        "tokens": range(TOKENS, TOKENS + 8, width // 8),
    }[where]
    _, whole, _ = walk(slots, TEST, records, tokens, **registers)
    bench = ControllerBench(random.Random(seed), width, stall)

    async def check(ctx):
        for failing in words:
            bench.failing = {failing}
            error, issued, _ = await bench.execute(ctx, raw, records, tokens, **registers)
            assert error == Error.READ_FAILED, hex(failing)
            assert issued == whole[: len(issued)]
            if where == "records":
                assert len(issued) <= 2 * ((failing - RECORDS) // SLOT_BYTES)
            bench.failing = set()
            found = await bench.execute(ctx, raw, records, tokens, **registers)
            assert found[:2] == (Error.NONE, whole)

    bench.run(check)


def test_a_failed_write_stops_a_loop(seed):
    """In the midst of a loop with records; then a program without one runs."""
    slots = [*layers_of(LAYERED, layers=100, record_count=100), slot(Opcode.END)]
    bench = ControllerBench(random.Random(seed), stall=0.2)

    async def fail(ctx):
        while len(bench.issued) < 7:
            await ctx.tick()
        ctx.set(bench.dut.write_failed, 1)
        await ctx.tick()
        ctx.set(bench.dut.write_failed, 0)

    async def check(ctx):
        error, issued, _ = await bench.execute(ctx, program(*slots), [SAME] * 100)
        assert error == Error.WRITE_FAILED
        assert 7 <= len(issued) <= 8
        found = await bench.execute(ctx, program(LAYERED, slot(Opcode.END)), [SAME])
        assert found[:2] == (Error.BAD_INSTRUCTION, [])

    bench.run(check, fail)
