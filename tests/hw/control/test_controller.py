"""The controller: programs good and bad, and how many cycles they take."""

import random

import pytest

from hw.contract.isa import HEADER, MAGIC, SLOT_BYTES, Opcode, assemble
from hw.contract.regs import Error
from tests.harness.controller import WIDTHS, ControllerBench, run
from tests.harness.programs import ENCODE, FINGERPRINT, MATMUL, fields, plain, program, slot


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
