"""The functional device's instructions of a whole model: what they do, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from hw.isa import Cache, Opcode, VectorOp
from hw.presets import preset
from hw.regs import Error
from tests.golden import reference
from tests.sim.programs import PARAMS, Bench, differs, slot

END = slot(Opcode.END)
A, B, C, D = 0x1000, 0x2000, 0x3000, 0x4000
WORDS = PARAMS.axi_bytes


@pytest.fixture
def bench():
    return Bench()


def copy(source: int, destination: int, **fields) -> bytes:
    return slot(Opcode.VECTOR, a=source, destination=destination, **fields)


# VECTOR


def test_rows_lie_a_stride_apart_and_nothing_between_is_written(bench):
    bench.put(A, range(1, 40))
    bench.put(C, [-7] * 40)
    fields = dict(operation=VectorOp.ADD, rows=3, elements=3, stride=32)
    bench.put(B, range(100, 140))
    finished = bench.run(slot(Opcode.VECTOR, a=A, b=B, destination=C, **fields), END)
    assert finished.error is Error.NONE
    rows = np.array(bench.get(C, 24)).reshape(3, 8)
    assert rows[:, :3].tolist() == [
        [101 + 8 * r + 2 * i + 8 * r for i in range(3)] for r in range(3)
    ]
    assert (rows[:, 3:] == -7).all()
    assert finished.counters["dram_bytes_written"] == 3 * 3 * 4
    assert finished.counters["dram_bytes_read"] == 64 + 2 * 32 + 2 * 3 * 16  # words of 8 bytes


def test_all_rows_may_have_the_same_b(bench):
    bench.put(A, [1, 2, 3, 4])
    bench.put(B, [10, 20])
    fields = dict(operation=VectorOp.ADD, rows=2, elements=2, stride=8, b_same=1)
    bench.run(slot(Opcode.VECTOR, a=A, b=B, destination=C, **fields), END)
    assert bench.get(C, 4) == [11, 22, 13, 24]


@pytest.mark.parametrize(
    ("operation", "reads"), [(VectorOp.NORM, 3), (VectorOp.SOFTMAX, 4), (VectorOp.SWIGLU, 2)]
)
def test_operations_pass_over_a_row_as_often_as_the_hardware(bench, operation, reads):
    finished = bench.run(slot(Opcode.VECTOR, operation=operation, a=A, b=B, destination=C), END)
    assert finished.counters["dram_bytes_read"] == 64 + 2 * 32 + reads * 16


def test_tables_are_read_by_token_and_by_position(bench):
    bench.put(A, range(40))  # an embedding table of rows of 4
    bench.put(B, range(0, 400, 10))
    bench.put(D, [0, 0, 5])
    program = [
        slot(Opcode.TOKEN, tokens=D),
        copy(A, C, a_by_token=1),
        slot(Opcode.VECTOR, operation=VectorOp.ADD, a=A, b=B, destination=C + 16, b_by_position=1),
        slot(Opcode.NEXT, slots=3),
        END,
    ]
    finished = bench.run(*program, first_position=2, prompt_end=3, end_position=3)
    assert (finished.error, finished.position) == (Error.NONE, 3)
    assert bench.get(C, 4) == [20, 21, 22, 23]
    assert bench.get(C + 16, 4) == [80, 91, 102, 113]


def test_lengths_grow_by_the_position(bench):
    bench.put(A, range(1, 10))
    finished = bench.run(copy(A, C, elements=1, by_position=1), END, first_position=2)
    assert finished.error is Error.NONE
    assert bench.get(C, 5) == [1, 2, 3, 0, 0]


def test_argmax_puts_the_next_token(bench):
    bench.put(A, [3, 9, 9, 1])
    argmax = slot(Opcode.VECTOR, operation=VectorOp.ARGMAX, a=A, destination=C)
    finished = bench.run(argmax, END, first_position=4)
    assert finished.error is Error.NONE
    assert bench.get(C, 7) == [0, 0, 0, 0, 0, 1, 0]
    assert bench.tokens == [(5, 1)]


# STORE, and the products that read what it wrote


@pytest.mark.parametrize("position", [0, 5, 31, 32, 70])
def test_store_lays_keys_and_values_out_for_their_products(bench, rng, position):
    head_dim, heads = 6, 2
    x = rng.integers(-(1 << 20), 1 << 20, (heads, head_dim))
    bench.put(A, x)
    for cache, codes in ((Cache.KEY, B), (Cache.VALUE, C)):
        fields = dict(heads=heads, channels=head_dim, source=A, source_stride=24)
        fields |= dict(codes=codes, codes_stride=0x800, scales=D, scales_stride=0x400)
        store = slot(Opcode.STORE, cache=cache, **fields)
        finished = bench.run(store, END, first_position=position)
        assert finished.error is Error.NONE
        assert finished.counters["dram_bytes_written"] == heads * (head_dim + 4)
    for head in range(heads):
        codes, mantissa, exponent = reference.encode_row(x[head].tolist())
        scale = bench.get(D + head * 0x400 + 4 * position, 1, "<u4")
        assert scale == [mantissa | exponent << 16]
        base = B + head * 0x800 + position // 32 * head_dim * 32 + position % 32
        assert [bench.get(base + 32 * d, 1, "i1")[0] for d in range(head_dim)] == codes
        row_bytes = PARAMS.row_bytes(head_dim, 8)
        assert bench.get(C + head * 0x800 + position * row_bytes, head_dim, "i1") == codes


@pytest.mark.parametrize("positions", [1, 2, 7, 31, 32, 33, 65])
def test_attention_of_one_head(bench, rng, positions):
    """Keys and values are stored position by position, then two queries attend to all of them."""
    head_dim, stride = 6, 24
    keys, values = rng.integers(-(1 << 18), 1 << 18, (2, positions, head_dim))
    queries = rng.integers(-(1 << 18), 1 << 18, (2, head_dim))
    cache = dict(channels=head_dim, source_stride=stride)
    keys_at, values_at, key_scales, value_scales, words = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
    query, scores, w, out = 0x6000, 0x7000, 0x8000, 0x9000
    for position in range(positions):
        bench.put(query, [keys[position], values[position]])
        stored = bench.run(
            slot(Opcode.STORE, source=query, codes=keys_at, scales=key_scales, **cache),
            slot(
                Opcode.STORE,
                cache=Cache.VALUE,
                source=query + stride,
                codes=values_at,
                scales=value_scales,
                **cache,
            ),
            END,
            first_position=position,
        )
        assert stored.error is Error.NONE
    bench.put(query, queries)
    bench.put(words, [1 << 15 | 27 << 16] * head_dim)
    steepness = reference.mu(head_dim)
    row = PARAMS.vector_bytes(128)
    program = [
        slot(Opcode.ENCODE, tokens=2, channels=head_dim, source=query, source_stride=stride),
        slot(
            Opcode.MATMUL,
            strided=1,
            outputs=1,
            by_position=1,
            weights=keys_at,
            channel_words=key_scales,
            destination=scores,
            destination_stride=row,
        ),
        slot(
            Opcode.VECTOR,
            operation=VectorOp.SOFTMAX,
            rows=2,
            elements=1,
            by_position=1,
            stride=row,
            a=scores,
            b=value_scales,
            b_same=1,
            destination=w,
            constant=steepness,
        ),
        slot(Opcode.ENCODE, tokens=2, channels=1, by_position=1, source=w, source_stride=row),
        slot(
            Opcode.MATMUL,
            outputs=head_dim,
            weights=values_at,
            channel_words=words,
            destination=out,
            destination_stride=stride,
        ),
        END,
    ]
    finished = bench.run(*program, first_position=positions - 1)
    assert finished.error is Error.NONE
    coded = [[reference.encode_row(x.tolist()) for x in rows] for rows in (keys, values)]
    site = reference.RowSite
    want = [reference.attend(q.tolist(), *coded, site, site) for q in queries]
    assert np.array(bench.get(out, 2 * head_dim)).reshape(2, head_dim).tolist() == want
    # A ragged tile of keys is fetched no further than its last beat of 8 lanes.
    fired = [
        reference.fire(q.tolist(), reference.threshold(q.tolist(), site), site) for q in queries
    ]
    of_tiles = [PARAMS.row_bytes(size, 8) for size in PARAMS.tiles(positions)]
    score_bytes = np.any(fired, axis=0).sum() * sum(of_tiles)
    value_bytes = finished.counters["weight_bytes_read"] - score_bytes
    assert 0 <= value_bytes <= positions * PARAMS.row_bytes(head_dim, 8)
    assert value_bytes % PARAMS.row_bytes(head_dim, 8) == 0


# The way through a program


def test_a_loop_takes_records_in_order_and_leaves_other_slots_alone(bench):
    bench.put(A, range(1, 100))
    body = [copy(A, C, layered=1), copy(A, D), copy(A + 16, C + 16, layered=1)]
    wanted = [
        [copy(A + 32 * i, C + 64 * i), copy(A + 32 * i + 16, C + 64 * i + 16)] for i in range(3)
    ]
    records = [
        differs(base, record)
        for layer in wanted
        for base, record in zip((body[0], body[2]), layer, strict=True)
    ]
    bench.put(B, b"".join(records))
    layers = slot(Opcode.LAYERS, layers=3, slots=3, records=B, record_count=6)
    finished = bench.run(layers, *body, copy(A, D + 64), END)
    assert finished.error is Error.NONE
    for i in range(3):
        assert bench.get(C + 64 * i, 8) == list(range(8 * i + 1, 8 * i + 9))
    assert bench.get(D, 4) == bench.get(D + 64, 4) == [1, 2, 3, 4]
    assert finished.counters["dram_bytes_read"] is None  # what was read ahead is not known here
    assert finished.counters["dram_bytes_written"] == (9 + 1) * 16


def test_a_record_may_change_any_field_even_the_opcode(bench):
    bench.put(A, [5, 6, 7, 8])
    body = copy(A, C, layered=1)
    records = [bytes(32), differs(body, slot(Opcode.ENCODE, source=A))]
    bench.put(B, b"".join(records))
    layers = slot(Opcode.LAYERS, layers=2, slots=1, records=B, record_count=2)
    finished = bench.run(layers, body, END)
    assert finished.error is Error.NONE
    assert finished.counters["dram_bytes_written"] == 16


def test_tokens_prefill_and_ends(bench):
    """The program counts: each position's token is copied, the next is an argmax of the host's."""
    bench.put(A, np.repeat(range(10), 4))  # row t holds t
    bench.put(B, [0, 0, 9, 0])  # whose argmax is 2
    bench.put(D, [7, 3, 1])
    argmax = slot(Opcode.VECTOR, operation=VectorOp.ARGMAX, a=B, destination=D)
    program = [
        slot(Opcode.TOKEN, tokens=D, vocabulary=10),
        copy(A, C, a_by_token=1),
        slot(Opcode.PREFILL, slots=1),
        argmax,
        slot(Opcode.NEXT, slots=4),
        END,
    ]
    finished = bench.run(*program, prompt_end=3, end_position=5)
    assert (finished.error, finished.position) == (Error.NONE, 5)
    assert bench.get(D, 7) == [7, 3, 1, 2, 2, 2, 0]
    assert bench.tokens == [(3, 2), (4, 2), (5, 2)]  # none before the prompt has ended
    assert bench.get(C, 1) == [2]

    bench.tokens.clear()
    finished = bench.run(*program, prompt_end=3, end_position=5, stop_token=2)
    assert (finished.error, finished.position) == (Error.NONE, 3)
    assert bench.tokens == [(3, 2)]
    # In the prompt it is a token like others, and so it is where the host goes on.
    finished = bench.run(*program, prompt_end=4, end_position=5, stop_token=2)
    assert (finished.error, finished.position) == (Error.NONE, 4)
    finished = bench.run(*program, first_position=4, prompt_end=5, end_position=6, stop_token=0)
    assert (finished.error, finished.position) == (Error.NONE, 6)


def test_a_run_of_no_position_does_nothing(bench):
    program = [slot(Opcode.TOKEN, tokens=D), copy(A, C), slot(Opcode.NEXT, slots=2), END]
    finished = bench.run(*program, first_position=3, end_position=3)
    assert (finished.error, finished.position) == (Error.NONE, 3)
    assert finished.counters["dram_bytes_written"] == 0


def test_a_token_beyond_the_vocabulary(bench):
    bench.put(D, [99, 100])
    program = [slot(Opcode.TOKEN, tokens=D), slot(Opcode.NEXT, slots=1), END]
    finished = bench.run(*program, prompt_end=9, end_position=9)
    assert (finished.error, finished.position) == (Error.BAD_TOKEN, 1)


# What is refused

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
