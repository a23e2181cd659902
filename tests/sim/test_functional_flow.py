"""The functional device's way through a program: loops, records, tokens, and where it ends."""

import numpy as np

from hw.contract.isa import Opcode, VectorOp
from hw.contract.regs import Error
from tests.sim.programs import END, A, B, C, D, copy, differs, slot


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
