"""The functional device's VECTOR and STORE, and the products that read what was stored."""

import numpy as np
import pytest

from hw.contract.isa import Cache, Opcode, VectorOp
from hw.contract.regs import Error
from tests.harness import reference
from tests.sim.programs import END, PARAMS, A, B, C, D, copy, slot


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
