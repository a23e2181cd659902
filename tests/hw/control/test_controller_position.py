"""The controller: what record, position and token add to an instruction, and to its cycles."""

import random
from itertools import pairwise

import pytest

from hw.contract.isa import SLOT_BYTES, Opcode, VectorOp
from hw.contract.regs import Error
from tests.harness.controller import TEST, WIDTHS, ControllerBench, run
from tests.harness.programs import (
    FOR_EVER,
    HANDED_OVER,
    PLAIN,
    SAME,
    fields,
    layers_of,
    program,
    record,
    slot,
)

LONGEST = (1 << 24) - 1


@pytest.mark.parametrize("opcode", [*HANDED_OVER, Opcode.END])
@pytest.mark.parametrize("layered", [0, 1])
@pytest.mark.parametrize("position", [0, 1, 77])
def test_lengths_grow_by_the_position(opcode, layered, position, seed):
    changes = {"operation": VectorOp.COPY} if opcode is Opcode.VECTOR else {}
    whole = slot(opcode, by_position=1, layered=layered, **changes)
    template = slot(Opcode.STORE, layered=1) if layered else whole
    slots = [PLAIN, *layers_of(template, record_count=layered), slot(Opcode.END)]
    records = [record(template, whole)] * layered
    bench = ControllerBench(random.Random(seed))
    grown = {Opcode.ENCODE: "channels", Opcode.MATMUL: "outputs", Opcode.VECTOR: "elements"}
    if opcode in grown:
        changes[grown[opcode]] = fields(opcode)[1][grown[opcode]] + position
    expected = [fields(Opcode.ENCODE)]
    if opcode is not Opcode.END:
        expected.append(fields(opcode, by_position=1, layered=layered, **changes))

    async def check(ctx):
        raw = program(*slots)
        found = await bench.execute(ctx, raw, records, first_position=position)
        assert found[:2] == (Error.NONE, expected)
        assert bench.position == position

    bench.run(check)


@pytest.mark.parametrize(
    "opcode, changes, longest",
    [
        (Opcode.ENCODE, {"channels": 1}, TEST.max_channels - 1),
        (Opcode.ENCODE, {"channels": 0}, TEST.max_channels),
        (Opcode.ENCODE, {"channels": 2000}, TEST.max_channels - 2000),
        (Opcode.MATMUL, {"outputs": LONGEST}, 0),
        (Opcode.MATMUL, {"outputs": 1}, LONGEST - 1),
        (Opcode.VECTOR, {"operation": VectorOp.ADD, "elements": LONGEST - 5}, 5),
        (Opcode.VECTOR, {"operation": VectorOp.SOFTMAX, "elements": 1}, TEST.max_channels - 1),
    ],
)
def test_sums_that_are_too_long(opcode, changes, longest, seed):
    """The longest is good; one more is not, nor are those that wrap in the field."""
    raw = program(PLAIN, slot(opcode, by_position=1, **changes), slot(Opcode.END))
    wraps = [longest + 1, longest + (1 << 16), longest + (1 << 24), (1 << 32) - 1]
    for position in (longest, *wraps):
        error, issued = run(raw, seed, registers={"first_position": position})
        good = position == longest
        assert error == (Error.NONE if good else Error.BAD_INSTRUCTION), hex(position)
        assert len(issued) == 1 + good


@pytest.mark.parametrize("token, position", [(0, 0), (1, 0), (999, 5), (0xFF_FFFE, 65535)])
@pytest.mark.parametrize("operation", [VectorOp.COPY, VectorOp.ADD, VectorOp.ARGMAX])
@pytest.mark.parametrize("by_token, by_position", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_addresses_by_token_and_position(token, position, operation, by_token, by_position, seed):
    changes = {"operation": operation, "stride": 0xAB_CDE8, "a": (1 << 40) - 8, "b": 0x98}
    changes |= {"a_by_token": by_token, "b_by_position": by_position}
    slots = [slot(Opcode.TOKEN, vocabulary=LONGEST), slot(Opcode.VECTOR, **changes)]
    slots.append(slot(Opcode.END))
    bench = ControllerBench(random.Random(seed))
    number = 4 * (position + 1) if operation is VectorOp.ARGMAX else 0
    expected = {
        "a": (changes["a"] + by_token * token * 0xAB_CDE8) % (1 << 40),
        "b": (changes["b"] + by_position * position * 0xAB_CDE8) % (1 << 40),
        "destination": fields(Opcode.VECTOR)[1]["destination"] + number,
    }

    async def check(ctx):
        tokens = [7] * position + [token]
        registers = {**FOR_EVER, "first_position": position}
        found = await bench.execute(ctx, program(*slots), (), tokens, **registers)
        assert found[:2] == (Error.NONE, [fields(Opcode.VECTOR, **changes | expected)])

    bench.run(check)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "opcode, layered, by_position, extra",
    [
        (Opcode.ENCODE, 0, 1, 2),
        (Opcode.ENCODE, 1, 0, 3),
        (Opcode.STORE, 1, 1, 3),
        (Opcode.VECTOR, 0, 0, 2),
        (Opcode.VECTOR, 1, 1, 5),
    ],
)
def test_timing(width, opcode, layered, by_position, extra):
    """Memory answers in the next cycle, and the units take an instruction a cycle."""
    bench = ControllerBench(random.Random(0), width)
    cycles = []
    one = slot(opcode, layered=layered, by_position=by_position)

    async def check(ctx):
        for count in (4, 5, 12):
            slots = layers_of(*[one] * count, record_count=layered * count)
            raw = program(*slots, slot(Opcode.END))
            found = await bench.execute(ctx, raw, [SAME] * layered * count)
            assert found[0] == Error.NONE
            cycles.append(found[2])

    bench.run(check)
    words = 8 * SLOT_BYTES // width
    each = (1 + layered) * words + 4 + extra
    assert [b - a for a, b in pairwise(cycles)] == [each, 7 * each]
