"""Which instructions can be executed: the ends of every range, and what lies beyond them."""

from dataclasses import replace

import pytest

from hw.contract.isa import Cache, Opcode, Rule, VectorOp
from hw.contract.params import GROUPS
from hw.contract.regs import Error
from tests.harness.controller import TEST, run
from tests.harness.programs import fields, program, slot

NARROW = replace(TEST, weight_widths=(4,), max_count=100, tokens=5)
PLAIN_ROWS = replace(TEST, grouped=False, max_shift=0)
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
    (Opcode.ENCODE, TEST, "shifts", 1),  # of the rule mean
    (Opcode.ENCODE, PLAIN_ROWS, "largest_exponent", 1),
    (Opcode.MATMUL, TEST, "coding", 3),
    (Opcode.MATMUL, TEST, "group", len(GROUPS) + 1),
    (Opcode.MATMUL, PLAIN_ROWS, "group", 1),
    *((Opcode.MATMUL, TEST, "scale_width_log2", w) for w in (0, 1, 2, 5)),
    (Opcode.MATMUL, TEST, "offsets", 3),
    *((Opcode.MATMUL, TEST, "weight_width", w) for w in range(16) if w not in (2, 4, 8)),
    (Opcode.MATMUL, NARROW, "weight_width", 8),
    (Opcode.MATMUL, NARROW, "weight_width", 2),
    (Opcode.MATMUL, TEST, "outputs", 0),
    *(
        (Opcode.ENCODE, TEST, name, 1 << bit)
        for name in ("source", "source_stride", "exponents")
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
        (Opcode.ENCODE, {"rule": 0, "shifts": TEST.max_shift}),
        (Opcode.ENCODE, {"rule": 2, "shifts": 1, "largest_exponent": TEST.max_shift - 1}),
        (Opcode.ENCODE, {"largest_exponent": TEST.max_shift, "exponents": (1 << 40) - 8}),
        (Opcode.MATMUL, {"coding": 0, "weight_width": 8, "outputs": 1}),
        (Opcode.MATMUL, {"coding": 1, "weight_width": 2, "outputs": (1 << 24) - 1}),
        (Opcode.MATMUL, {"group": 1, "scale_width_log2": 3, "offsets": 1}),
        (Opcode.MATMUL, {"group": 2, "scale_width_log2": 4, "offsets": 2, "offset_shift": 7}),
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


@pytest.mark.parametrize("shifts, exponent, good", [(1, 2, True), (2, 1, True), (2, 2, False)])
def test_spikes_weigh_no_more_than_the_hardware_holds(shifts, exponent, good, seed):
    changes = {"rule": Rule.ABSMAX, "shifts": shifts, "largest_exponent": exponent}
    raw = program(slot(Opcode.ENCODE, **changes), slot(Opcode.END))
    expected = (Error.NONE, [fields(Opcode.ENCODE, **changes)])
    assert run(raw, seed) == (expected if good else (Error.BAD_INSTRUCTION, []))


@pytest.mark.parametrize(
    "slots, good",
    [
        ([slot(Opcode.VECTOR, b_by_position=1)], False),
        ([slot(Opcode.VECTOR)], True),
        ([slot(Opcode.STORE)], False),
    ],
)
def test_positions_beyond_16_bits(slots, good, seed):
    for position in (65535, 65536, 1 << 31):
        raw = program(*slots, slot(Opcode.END))
        error, issued = run(raw, seed, registers={"first_position": position})
        fits = good or position < 65536
        assert (error == Error.NONE) == fits == bool(issued), position
