"""Programs of a whole model that stop the functional device, each with its error."""

from dataclasses import replace

import pytest

from hw.contract.isa import Opcode, VectorOp
from hw.contract.presets import preset
from hw.contract.regs import Error
from tests.sim.programs import END, PARAMS, A, B, Bench, C, D, copy, differs, slot

LIMIT = PARAMS.max_channels


REFUSED = {
    "operation": slot(Opcode.VECTOR, operation=len(VectorOp)),
    "rows": slot(Opcode.VECTOR, rows=0),
    "elements": slot(Opcode.VECTOR, elements=0),
    "norm too long": slot(Opcode.VECTOR, operation=VectorOp.NORM, elements=LIMIT + 1),
    "norm without E": slot(Opcode.VECTOR, operation=VectorOp.NORM, constant=0),
    "softmax too long": slot(Opcode.VECTOR, operation=VectorOp.SOFTMAX, elements=LIMIT + 1),
    "softmax too steep": slot(Opcode.VECTOR, operation=VectorOp.SOFTMAX, constant=1 << 25),
    "half a pair": slot(Opcode.VECTOR, operation=VectorOp.ROTATE, elements=3),
    "a": slot(Opcode.VECTOR, a=4),
    "b, though it is not read": slot(Opcode.VECTOR, b=4),
    "destination": slot(Opcode.VECTOR, destination=4),
    "stride": slot(Opcode.VECTOR, stride=4),
    "heads": slot(Opcode.STORE, heads=0),
    "no channels": slot(Opcode.STORE, channels=0),
    "channels of two tiles": slot(Opcode.STORE, channels=PARAMS.tile_outputs + 1),
    **{
        name: slot(Opcode.STORE, **{name: 4})
        for name in ("source", "source_stride", "codes", "codes_stride", "scales", "scales_stride")
    },
    "tokens": slot(Opcode.TOKEN, tokens=4),
    "records": slot(Opcode.LAYERS, records=4),
    "layers": slot(Opcode.LAYERS, layers=0),
    "slots": slot(Opcode.LAYERS, slots=0),
    "a loop beyond the end": slot(Opcode.LAYERS, slots=2),
    "back beyond the start": slot(Opcode.NEXT, slots=1),
    "ahead beyond the end": slot(Opcode.PREFILL, slots=2),
    "layered outside a loop": slot(Opcode.VECTOR, layered=1),
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED)
def test_a_field_out_of_range_stops_the_program(bench, wrong):
    finished = bench.run(wrong, END)
    assert finished.error is Error.BAD_INSTRUCTION
    assert finished.counters["dram_bytes_written"] == 0


GROWN = {
    "channels": (slot(Opcode.ENCODE, channels=LIMIT - 9, by_position=1), 9),
    "channels' field": (slot(Opcode.ENCODE, channels=1, by_position=1), (1 << 16) - 2),
    "outputs": (
        slot(Opcode.MATMUL, outputs=(1 << 24) - 10, by_position=1),
        9,
    ),
    "elements": (
        slot(
            Opcode.VECTOR,
            operation=VectorOp.NORM,
            elements=LIMIT - 9,
            by_position=1,
            destination=D,
        ),
        9,
    ),
    "elements' field": (slot(Opcode.VECTOR, elements=(1 << 24) - 10, by_position=1), 9),
}


@pytest.mark.parametrize(("grown", "most"), GROWN.values(), ids=GROWN)
def test_a_length_that_grows_too_long_stops_the_program(bench, grown, most):
    encode = slot(Opcode.ENCODE, source=A)
    assert bench.run(encode, grown, END, first_position=most + 1).error is Error.BAD_INSTRUCTION
    if most == 9:  # one less is in range, whatever memory holds
        assert bench.run(encode, grown, END, first_position=9).error is not Error.BAD_INSTRUCTION


@pytest.mark.parametrize(
    "instruction", [slot(Opcode.STORE, codes=A, scales=B), slot(Opcode.VECTOR, b_by_position=1)]
)
def test_positions_that_addresses_cannot_be_made_of(bench, instruction):
    assert bench.run(instruction, END, first_position=1 << 16).error is Error.BAD_INSTRUCTION
    assert bench.run(instruction, END, first_position=3).error is Error.NONE


def test_store_needs_counts_of_seven_bits():
    bench = Bench(replace(preset("test"), max_count=63))
    assert bench.run(slot(Opcode.STORE), END).error is Error.BAD_INSTRUCTION


@pytest.mark.parametrize(
    "inside",
    [
        slot(Opcode.LAYERS),
        slot(Opcode.TOKEN, tokens=A),
        slot(Opcode.PREFILL, slots=0),
        slot(Opcode.NEXT, slots=0),
    ],
)
def test_loops_hold_no_loops_and_no_jumps(bench, inside):
    assert bench.run(slot(Opcode.LAYERS), inside, END).error is Error.BAD_INSTRUCTION


@pytest.mark.parametrize("count", [1, 3])
def test_records_that_do_not_come_out_even(bench, count):
    body = copy(A, C, layered=1)
    bench.put(B, bytes(32 * 3))
    layers = slot(Opcode.LAYERS, layers=2, slots=1, records=B, record_count=count)
    finished = bench.run(layers, body, END)
    assert finished.error is Error.BAD_INSTRUCTION
    assert finished.counters["dram_bytes_written"] == min(count, 2) * 16
    assert bench.run(layers, copy(A, C), END).error is Error.BAD_INSTRUCTION


def test_a_slot_is_checked_as_its_record_makes_it(bench):
    body = copy(A, C, layered=1)
    bench.put(B, differs(body, copy(A, C, elements=0)))
    layers = slot(Opcode.LAYERS, records=B, record_count=1)
    assert bench.run(layers, body, END).error is Error.BAD_INSTRUCTION


def test_a_token_beyond_the_vocabulary(bench):
    bench.put(D, [99, 100])
    program = [slot(Opcode.TOKEN, tokens=D), slot(Opcode.NEXT, slots=1), END]
    finished = bench.run(*program, prompt_end=9, end_position=9)
    assert (finished.error, finished.position) == (Error.BAD_TOKEN, 1)


@pytest.mark.parametrize("program", [[slot(Opcode.PREFILL, slots=1), END], [copy(A, C)]])
def test_running_off_the_end_stops_the_program(bench, program):
    finished = bench.run(*program, prompt_end=5)
    assert finished.error is Error.BAD_INSTRUCTION


@pytest.mark.parametrize(
    ("instruction", "error"),
    [
        (copy(1 << 39, C), Error.READ_FAILED),
        (copy(A, 1 << 39), Error.WRITE_FAILED),
        (slot(Opcode.STORE, codes=1 << 39), Error.WRITE_FAILED),
        (slot(Opcode.TOKEN, tokens=1 << 39), Error.READ_FAILED),
    ],
)
def test_addresses_beyond_memory_stop_the_program(bench, instruction, error):
    assert bench.run(instruction, END, end_position=1).error is error
