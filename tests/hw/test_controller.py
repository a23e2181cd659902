"""The controller: programs good and bad, and what stops them."""

import random
from dataclasses import replace

import pytest

from hw.isa import HEADER, MAGIC, SLOT_BYTES, Cache, Opcode, VectorOp, assemble
from hw.presets import preset
from hw.regs import Error
from tests.harness.controller import (
    ENCODE,
    FINGERPRINT,
    MATMUL,
    ControllerBench,
    fields,
    plain,
    program,
    run,
    slot,
)

TEST = preset("test")
WIDTHS = [64, 128, 256]


def random_instruction(params, rng):
    if rng.random() < 0.6:
        return Opcode.MATMUL, MATMUL | {"outputs": rng.randrange(1, 1 << 24)}
    changes = {
        "tokens": rng.randint(1, params.tokens),
        "channels": rng.randint(1, params.max_channels),
        "dead_zone": rng.getrandbits(32),
        "fence": rng.getrandbits(1),
    }
    return Opcode.ENCODE, ENCODE | changes


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall, longest", [(0.0, 1), (0.5, 1), (0.0, 60), (0.3, 30)])
def test_instructions_are_issued_in_order(width, stall, longest, seed):
    rng = random.Random(seed)
    bench = ControllerBench(rng, width, stall, longest=longest)
    instructions = [(Opcode.ENCODE, ENCODE)]
    instructions += [random_instruction(bench.params, rng) for _ in range(15)]
    slots = [assemble(opcode, **values) for opcode, values in instructions]
    # END ends it, whatever follows.
    raw = program(*slots, slot(Opcode.END), *[b"\xff" * SLOT_BYTES] * 3)

    async def check(ctx):
        for _ in range(2):
            error, issued, _ = await bench.execute(ctx, raw)
            assert error == Error.NONE
            assert issued == [(opcode, plain(values)) for opcode, values in instructions]
            # In order, each byte once, up to the END at least, and none beyond the last slot.
            asked = bench.asked()
            assert asked == list(range(len(asked)))
            assert HEADER.size // 8 + (len(slots) + 1) * SLOT_BYTES <= len(asked) <= len(raw)

    bench.run(check)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"magic": MAGIC ^ 1}, Error.BAD_MAGIC),
        ({"magic": MAGIC ^ 1 << 31}, Error.BAD_MAGIC),
        ({"fingerprint": FINGERPRINT ^ 1}, Error.BAD_FINGERPRINT),
        ({"fingerprint": FINGERPRINT ^ 1 << 255}, Error.BAD_FINGERPRINT),
        ({"magic": 0, "fingerprint": 0}, Error.BAD_MAGIC),
        ({"count": 0}, Error.BAD_INSTRUCTION),
    ],
)
def test_a_bad_header_runs_nothing(changes, error, seed):
    raw = program(slot(Opcode.ENCODE), slot(Opcode.END), **changes)
    assert run(raw, seed) == (error, [])


NARROW = replace(TEST, weight_widths=(4,), max_count=100, tokens=5)
OUT_OF_RANGE = [
    (Opcode.ENCODE, TEST, "rule", 3),
    (Opcode.ENCODE, TEST, "tokens", 0),
    (Opcode.ENCODE, TEST, "tokens", TEST.tokens + 1),
    (Opcode.ENCODE, NARROW, "tokens", 6),
    (Opcode.ENCODE, TEST, "channels", 0),
    (Opcode.ENCODE, TEST, "channels", TEST.max_channels + 1),
    (Opcode.ENCODE, TEST, "channels", (1 << 16) - 1),
    (Opcode.ENCODE, TEST, "max_count", 0),
    (Opcode.ENCODE, NARROW, "max_count", 101),
    (Opcode.ENCODE, TEST, "divisor", 0),
    (Opcode.MATMUL, TEST, "coding", 3),
    *((Opcode.MATMUL, TEST, "weight_width", w) for w in range(16) if w not in (2, 4, 8)),
    (Opcode.MATMUL, NARROW, "weight_width", 8),
    (Opcode.MATMUL, NARROW, "weight_width", 2),
    (Opcode.MATMUL, TEST, "outputs", 0),
    *(
        (Opcode.ENCODE, TEST, name, 1 << bit)
        for name in ("source", "source_stride")
        for bit in range(3)
    ),
    *(
        (Opcode.MATMUL, TEST, name, 1 << bit)
        for name in ("weights", "channel_words", "destination", "destination_stride")
        for bit in range(3)
    ),
    (Opcode.VECTOR, TEST, "operation", 7),
    (Opcode.VECTOR, TEST, "operation", 15),
    (Opcode.VECTOR, TEST, "rows", 0),
    (Opcode.VECTOR, TEST, "elements", 0),
    (Opcode.VECTOR, TEST, "elements", 11),  # of ROTATE: pairs
    *(
        (Opcode.VECTOR, TEST, name, 1 << bit)
        for name in ("a", "b", "destination", "stride")
        for bit in range(3)
    ),
    (Opcode.STORE, TEST, "heads", 0),
    (Opcode.STORE, TEST, "channels", 0),
    (Opcode.STORE, TEST, "channels", TEST.tile_outputs + 1),
    (Opcode.STORE, replace(TEST, max_channels=64, banks=16), "channels", 65),
    (Opcode.STORE, replace(TEST, max_count=126), "channels", 1),
    *(
        (Opcode.STORE, TEST, name, 1 << bit)
        for name in ("source", "source_stride", "codes", "codes_stride", "scales", "scales_stride")
        for bit in range(3)
    ),
    *((Opcode.TOKEN, TEST, "tokens", 1 << bit) for bit in range(3)),
    (Opcode.NEXT, TEST, "slots", 3),
    (Opcode.NEXT, TEST, "slots", (1 << 16) - 1),
    (Opcode.PREFILL, TEST, "slots", 2),
    (Opcode.PREFILL, TEST, "slots", (1 << 16) - 1),
    (Opcode.LAYERS, TEST, "layers", 0),
    (Opcode.LAYERS, TEST, "slots", 0),
    (Opcode.LAYERS, TEST, "slots", 2),
    *((Opcode.LAYERS, TEST, "records", 1 << bit) for bit in range(3)),
]


@pytest.mark.parametrize("opcode, params, name, value", OUT_OF_RANGE)
def test_a_field_out_of_range_stops_the_program_before_it(opcode, params, name, value, seed):
    good = [slot(Opcode.ENCODE), slot(Opcode.MATMUL)]
    raw = program(*good, slot(opcode, **{name: value}), slot(Opcode.END))
    issued = [fields(Opcode.ENCODE), fields(Opcode.MATMUL)]
    assert run(raw, seed, params=params) == (Error.BAD_INSTRUCTION, issued)


@pytest.mark.parametrize(
    "opcode, changes",
    [
        (Opcode.ENCODE, {"rule": 2, "tokens": TEST.tokens, "channels": TEST.max_channels}),
        (Opcode.ENCODE, {"rule": 0, "tokens": 1, "channels": 1, "max_count": 1, "divisor": 1}),
        (Opcode.ENCODE, {"max_count": 127, "divisor": (1 << 24) - 1, "multiplier": 0}),
        (Opcode.ENCODE, {"source": 0, "source_stride": 8}),
        (Opcode.MATMUL, {"coding": 0, "weight_width": 8, "outputs": 1}),
        (Opcode.MATMUL, {"coding": 1, "weight_width": 2, "outputs": (1 << 24) - 1}),
        (Opcode.MATMUL, {"weights": 8, "channel_words": 0, "destination": (1 << 40) - 8}),
        (Opcode.VECTOR, {"rows": 127, "elements": (1 << 24) - 2, "a": 8, "b": 16}),
        (Opcode.VECTOR, {"operation": VectorOp.COPY, "elements": (1 << 24) - 1, "constant": 0}),
        (Opcode.VECTOR, {"operation": VectorOp.NORM, "constant": 1, "rows": 1}),
        (Opcode.VECTOR, {"operation": VectorOp.NORM, "elements": TEST.max_channels}),
        (Opcode.VECTOR, {"operation": VectorOp.SOFTMAX, "elements": TEST.max_channels}),
        (Opcode.VECTOR, {"operation": VectorOp.SOFTMAX, "constant": (1 << 25) - 1}),
        (Opcode.STORE, {"heads": 127, "channels": TEST.tile_outputs}),
        (Opcode.STORE, {"heads": 1, "channels": 1, "cache": Cache.KEY}),
    ],
)
def test_the_ends_of_every_range_are_good(opcode, changes, seed):
    raw = program(slot(Opcode.ENCODE), slot(opcode, **changes), slot(Opcode.END))
    issued = [fields(Opcode.ENCODE), fields(opcode, **changes)]
    assert run(raw, seed) == (Error.NONE, issued)


@pytest.mark.parametrize(
    "operation, changes",
    [
        (VectorOp.NORM, {"elements": TEST.max_channels + 1}),
        (VectorOp.NORM, {"constant": 0}),
        (VectorOp.SOFTMAX, {"elements": TEST.max_channels + 1}),
        (VectorOp.SOFTMAX, {"constant": 1 << 25}),
    ],
)
def test_what_an_operation_does_not_take(operation, changes, seed):
    raw = program(slot(Opcode.VECTOR, operation=operation, **changes), slot(Opcode.END))
    assert run(raw, seed) == (Error.BAD_INSTRUCTION, [])


@pytest.mark.parametrize("opcode", [0, 10, 255, Opcode.END.value | 0x80])
def test_an_unknown_opcode(opcode, seed):
    raw = program(slot(Opcode.ENCODE), bytes([opcode]).ljust(SLOT_BYTES, b"\0"), slot(Opcode.END))
    assert run(raw, seed) == (Error.BAD_INSTRUCTION, [fields(Opcode.ENCODE)])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_program_without_end(width, seed):
    """What follows the last slot in memory is not read as an instruction."""
    raw = program(slot(Opcode.ENCODE), slot(Opcode.ENCODE), slot(Opcode.END), count=2)
    expected = (Error.BAD_INSTRUCTION, [fields(Opcode.ENCODE)] * 2)
    assert run(raw, seed, width=width) == expected


def test_matmul_needs_an_encode_of_its_own_program(seed):
    bench = ControllerBench(random.Random(seed))
    good = program(slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.END))
    bad = program(slot(Opcode.MATMUL), slot(Opcode.END))

    async def check(ctx):
        assert (await bench.execute(ctx, good))[0] == Error.NONE
        assert (await bench.execute(ctx, bad))[:2] == (Error.BAD_INSTRUCTION, [])

    bench.run(check)


def test_a_good_program_runs_after_each_error(seed):
    bench = ControllerBench(random.Random(seed), stall=0.3)
    good = program(slot(Opcode.ENCODE), slot(Opcode.END))
    bad = [
        program(slot(Opcode.END), magic=0),
        program(slot(Opcode.END), fingerprint=0),
        program(slot(Opcode.ENCODE, divisor=0)),
        program(slot(Opcode.ENCODE)),
    ]

    async def check(ctx):
        for raw in bad:
            assert (await bench.execute(ctx, raw))[0] != Error.NONE
            expected = (Error.NONE, [fields(Opcode.ENCODE)])
            assert (await bench.execute(ctx, good))[:2] == expected

    bench.run(check)


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
def test_timing(width):
    """Memory answers in the next cycle, and the units take an instruction a cycle."""
    bench = ControllerBench(random.Random(0), width)
    cycles = []

    async def check(ctx):
        for count in (2, 3, 10):
            raw = program(*[slot(Opcode.ENCODE)] * count, slot(Opcode.END))
            cycles.append((await bench.execute(ctx, raw))[2])

    bench.run(check)
    per_instruction = 8 * SLOT_BYTES // width + 4
    assert [c - cycles[0] for c in cycles] == [0, per_instruction, 8 * per_instruction]
