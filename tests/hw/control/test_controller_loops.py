"""The controller: LAYERS repeats its slots with their records."""

import random

import pytest

from hw.contract.isa import SLOT_BYTES, Opcode
from hw.contract.regs import Error
from tests.harness.controller import WIDTHS, ControllerBench
from tests.harness.programs import (
    CONTROL,
    FOR_EVER,
    LAYERED,
    PLAIN,
    SAME,
    fields,
    layers_of,
    program,
    record,
    slot,
)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_layers_take_their_records_one_after_the_other(width, stall, seed):
    """Two of three slots are layered: each repetition takes the next two records."""
    layers = 5
    outputs = [[100 * layer + 1, 100 * layer + 2] for layer in range(layers)]
    templates = [slot(Opcode.MATMUL, layered=1, outputs=9), slot(Opcode.MATMUL)]
    templates.append(slot(Opcode.END, layered=1))
    records = [
        record(template, slot(Opcode.MATMUL, layered=1, outputs=number))
        for pair in outputs
        for template, number in zip(templates[::2], pair, strict=True)
    ]
    head = slot(Opcode.LAYERS, layers=layers, slots=3, record_count=len(records))
    slots = [slot(Opcode.ENCODE), head, *templates, slot(Opcode.MATMUL, outputs=3)]
    bench = ControllerBench(random.Random(seed), width, stall)
    expected = [fields(Opcode.ENCODE)]
    for first, second in outputs:
        expected += [
            fields(Opcode.MATMUL, layered=1, outputs=first),
            fields(Opcode.MATMUL),
            fields(Opcode.MATMUL, layered=1, outputs=second),
        ]
    expected.append(fields(Opcode.MATMUL, outputs=3))

    async def check(ctx):
        raw = program(*slots, slot(Opcode.END))
        for _ in range(2):
            assert (await bench.execute(ctx, raw, records))[:2] == (Error.NONE, expected)
            assert bench.asked_records() == list(range(len(records) * SLOT_BYTES))

    bench.run(check)


@pytest.mark.parametrize(
    "slots, records, error, issued",
    [
        ([PLAIN, LAYERED], [SAME], Error.BAD_INSTRUCTION, 1),
        (layers_of(LAYERED, layers=2, record_count=1), [SAME] * 2, Error.BAD_INSTRUCTION, 1),
        (layers_of(LAYERED, layers=2, record_count=3), [SAME] * 3, Error.BAD_INSTRUCTION, 2),
        (layers_of(LAYERED, layers=2, record_count=9), [SAME] * 9, Error.BAD_INSTRUCTION, 2),
        (layers_of(PLAIN, layers=2, record_count=1), [SAME], Error.BAD_INSTRUCTION, 2),
        (layers_of(PLAIN, LAYERED, layers=2), [], Error.BAD_INSTRUCTION, 1),
        (layers_of(PLAIN, layers=3), [], Error.NONE, 3),
        ([*layers_of(PLAIN, layers=2), LAYERED], [], Error.BAD_INSTRUCTION, 2),
        ([*layers_of(LAYERED, record_count=1), LAYERED], [SAME] * 2, Error.BAD_INSTRUCTION, 1),
        ([*layers_of(PLAIN, layers=2), *layers_of(PLAIN, layers=2)], [], Error.NONE, 4),
        (layers_of(LAYERED, record_count=1), [record(LAYERED, b"\xff" * 32)], None, 0),
        # END in the midst of it, with records that nobody took.
        (layers_of(PLAIN, slot(Opcode.END), record_count=7), [SAME] * 7, Error.NONE, 1),
        *((layers_of(PLAIN, slot(control)), [], None, 1) for control in CONTROL),
        # It would end beyond the program.
        ([slot(Opcode.LAYERS, slots=3), PLAIN], [], None, 0),
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_loops_good_and_bad(slots, records, error, issued, stall, seed):
    """None stands for BAD_INSTRUCTION. Between them a good program runs."""
    error = Error.BAD_INSTRUCTION if error is None else error
    bench = ControllerBench(random.Random(seed), stall=stall)
    good = program(*layers_of(LAYERED, layers=3, record_count=3), slot(Opcode.END))
    raw = program(*slots, slot(Opcode.END))

    async def check(ctx):
        for _ in range(2):
            found, got, _ = await bench.execute(ctx, raw, records, **FOR_EVER)
            assert (found, len(got)) == (error, issued)
            found, got, _ = await bench.execute(ctx, good, [SAME] * 3)
            assert (found, got) == (Error.NONE, [fields(Opcode.ENCODE, layered=1)] * 3)

    bench.run(check)
