"""The cycle device by itself: counts by hand, programs without weights, what it refuses."""

import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from golden.console.places import SOURCES
from hw.contract.isa import Coding, Opcode, VectorOp
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS, Error
from sim.cycle import library
from sim.cycle.device import Batch, Cycle, predict
from sim.device import Timing
from sim.errors import HardwareFault, ToolError
from sim.functional.device import Functional
from tests.compiler.models import compiled, one_matrix
from tests.sim.programs import Bench, differs, slot

PARAMS = preset("test")
CAUSES = tuple(COUNTERS)[-6:]


@pytest.fixture
def program(tmp_path, rng):
    """Compile one matrix of two tiles for three tokens: ENCODE, MATMUL, ENCODE, MATMUL, END."""
    return compiled(tmp_path / "m", one_matrix(45, 10, 4, has_bias=True), PARAMS, rng, tokens=3)


def vectors(rng, tokens=3, channels=10):
    return {"s.input": rng.integers(-(1 << 20), 1 << 20, (tokens, channels), dtype=np.int32)}


def one_matmul(counts, outputs, *, coding=Coding.CSD, weight_width=8, params=PARAMS, timing=None):
    """Return the counters of a program that no compiler has made and that has no weights."""
    tokens, channels = counts.shape
    fields = dict(coding=coding.value, weight_width=weight_width, has_bias=0, outputs=outputs)
    fields |= dict(weights=1 << 20, channel_words=1 << 19, destination=1 << 18)
    encode = dict(tokens=tokens, channels=channels, fence=0, source=4096, source_stride=1 << 14)
    program = [
        (Opcode.ENCODE, encode),
        (Opcode.MATMUL, fields | {"destination_stride": 1 << 16}),
        (Opcode.END, {}),
    ]
    return predict(
        params,
        program,
        [Batch(counts=counts, thresholds=[1 << 24] * tokens)],
        timing=timing or Timing(),
        program_address=0,
        memory_bytes=(1 << 21) + outputs * channels,
    )


def test_the_device_has_the_functional_device_s_results_and_every_counter(program, rng):
    inputs = vectors(rng)
    functional = Functional().run(program, inputs)
    result = Cycle().run(program, inputs)
    assert np.array_equal(result.outputs["w.output"], functional.outputs["w.output"])
    assert list(result.counters) == list(COUNTERS)
    for name, value in functional.counters.items():
        assert value in (None, result.counters[name]), name
    assert result.counters["cycles"] == sum(result.counters[name] for name in CAUSES)


def test_array_cycles_are_the_steps_of_the_codings():
    counts = np.array([[3, 0, -6, 127], [0, 0, 1, 127]])
    beats = 5  # 40 outputs, 8 lanes
    steps = {
        Coding.UNARY: 3 + 6 + 127,
        Coding.BITWISE: 2 + 3 + 7,  # 2 + 1; 4 + 2 beside 1; all seven
        Coding.CSD: 2 + 3 + 2,  # 4 - 1; 8 - 2 beside 1; 128 - 1
    }
    for coding, expected in steps.items():
        assert one_matmul(counts, 40, coding=coding)["array_cycles"] == expected * beats
    mac = replace(PARAMS, array="mac")
    assert one_matmul(counts, 40, params=mac)["array_cycles"] == 3 * beats
    every = replace(PARAMS, skip_silent=False)
    assert one_matmul(counts, 40, params=every)["array_cycles"] == (2 + 3 + 2 + 1) * beats


def test_synaptic_operations_are_spikes_times_outputs():
    counts = np.array([[3, 0, -6, 127], [0, 0, 1, 127]])
    spikes = {Coding.UNARY: 9 + 1 + 254, Coding.BITWISE: 2 + 2 + 1 + 14, Coding.CSD: 4 + 1 + 4}
    for coding, expected in spikes.items():
        counters = one_matmul(counts, 45, coding=coding)
        assert counters["synaptic_operations"] == 45 * expected
        assert (counters["events"], counters["silent_channels"]) == (3, 1)


def test_a_slower_memory_takes_longer(rng):
    counts = rng.integers(-127, 128, (2, 64))
    cycles = [
        one_matmul(counts, 64, timing=Timing(latency=latency))["cycles"]
        for latency in (1, 50, 100, 1000)
    ]
    assert sorted(set(cycles)) == cycles


def test_stalls_follow_the_seed(rng):
    counts = rng.integers(-127, 128, (2, 64))

    def run(seed):
        return one_matmul(counts, 64, timing=Timing(stalls=0.3, seed=seed))

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(1)["cycles"] > one_matmul(counts, 64)["cycles"]


def test_a_layer_of_seven_billion_weights_runs(rng):
    params = preset("edge")
    counts = rng.integers(-127, 128, (2, 4096))
    counters = one_matmul(counts, 11008, params=params)
    assert counters["weight_bytes_read"] == 11008 * int(counts.any(axis=0).sum())
    assert counters["cycles"] == sum(counters[name] for name in CAUSES)


def test_events_with_few_spikes_make_up_for_those_with_many():
    """Seven steps and one in turn: four in the mean, as many as memory takes cycles for a beat."""
    params = preset("edge")
    assert params.lanes * 8 == 4 * params.axi_data_width
    counts = np.tile([[0b1010101, 1], [0b0101010, 0]], 288)
    of_memory = one_matmul(counts, 2048, params=replace(params, array="mac"))["cycles"]
    counters = one_matmul(counts, 2048, params=params)
    assert counters["array_cycles"] == 4 * counts.shape[1] * params.banks
    row_words = params.row_words(params.tile_outputs, 8)
    assert of_memory <= counters["cycles"] <= of_memory + 2 * row_words


def test_progress_is_told(program, rng, monkeypatch):
    monkeypatch.setattr("sim.cycle.model_run.CYCLES_AT_ONCE", 100)
    told = []
    result = Cycle(progress=told.append).run(program, vectors(rng))
    assert len(told) == (result.counters["cycles"] - 1) // 100  # the end is not told
    assert told == sorted(told) and 0 < told[-1] <= result.counters["dram_bytes_read"]


def test_a_program_with_an_error_has_no_time(program, rng):
    bad = replace(program, params=replace(PARAMS, lanes=16))
    result = Cycle().run(bad, vectors(rng))
    assert result.error is Error.BAD_FINGERPRINT
    assert result.counters["cycles"] is None


def test_a_breach_of_the_protocol_is_a_fault(rng):
    batch = Batch(counts=np.ones((1, 8), int), thresholds=[1 << 24])
    with pytest.raises(HardwareFault, match="fault: cycle .* ends beyond the memory's 0x1000"):
        predict(
            PARAMS,
            [
                (Opcode.ENCODE, dict(tokens=1, channels=8, source=8192, source_stride=64)),
                (Opcode.END, {}),
            ],
            [batch],
            timing=Timing(),
            program_address=0,
            memory_bytes=4096,
        )


def test_a_model_that_does_nothing_is_a_fault(program, rng, monkeypatch):
    monkeypatch.setattr("sim.cycle.model_run.CYCLES_AT_ONCE", 50)  # fewer than memory takes
    with pytest.raises(HardwareFault, match="the cycle model did nothing for 50 cycles"):
        Cycle(timing=Timing(latency=5000)).run(program, vectors(rng))


# Programs of a whole model

END = slot(Opcode.END)
A, B, C, D = 0x1000, 0x2000, 0x3000, 0x4000


@pytest.fixture
def bench():
    return Bench(device=Cycle())


def vector(bench, operation, x, **fields):
    """Return the cycles of a program of one VECTOR of a row x."""
    bench.put(A, x)
    fields = dict(operation=operation, elements=len(x), a=A, b=B, destination=C) | fields
    counters = bench.run(slot(Opcode.VECTOR, **fields), END).counters
    assert counters["cycles"] == sum(counters[name] for name in CAUSES)
    return counters["cycles"]


def test_a_norm_takes_longer_for_small_numbers(bench):
    """The mean square, 2^(2k), is shifted two places a cycle until it fills 64 bits."""
    cycles = {k: vector(bench, VectorOp.NORM, [1 << k] * 4, constant=1) for k in (4, 9, 24)}
    assert cycles[4] - cycles[24] == 24 - 4
    assert cycles[4] - cycles[9] == 9 - 4


def test_a_softmax_takes_longer_for_even_scores(bench):
    """The sum is shifted a place a cycle; a score far below the largest adds nothing."""
    peak = vector(
        bench, VectorOp.SOFTMAX, [0, -(1 << 30), -(1 << 30), -(1 << 30)], constant=1 << 24
    )
    even = vector(bench, VectorOp.SOFTMAX, [0] * 4, constant=1 << 24)
    assert even - peak == 2


def test_operations_that_pass_once_differ_by_their_pipelines(bench):
    latency = {VectorOp.ADD: 1, VectorOp.ROTATE: 6, VectorOp.SWIGLU: 14}
    cycles = {op: vector(bench, op, [1, 2, 3, 4]) for op in latency}
    for op, moves in latency.items():
        assert cycles[op] - cycles[VectorOp.ADD] == moves - 1, op


def story(bench, positions, channels=16):
    """Run a program of an ENCODE, a VECTOR and a STORE for each of some positions."""
    fields = dict(channels=channels, source=A)
    return bench.run(
        slot(Opcode.TOKEN, tokens=D),
        slot(Opcode.ENCODE, **fields),
        slot(Opcode.VECTOR, a=A, destination=C),
        slot(Opcode.STORE, **fields, codes=C + 64, scales=C + 0x800),
        slot(Opcode.PREFILL, slots=1),
        slot(Opcode.VECTOR, a=A, destination=C),
        slot(Opcode.NEXT, slots=6),
        END,
        end_position=positions,
    )


def test_every_position_takes_as_long_as_the_one_before(bench):
    cycles = [story(bench, n).counters["cycles"] for n in range(5)]
    assert len(set(np.diff(cycles[1:]))) == 1


def test_what_is_read_ahead_of_a_jump_is_counted(bench):
    bench.put(B, bytes(64))
    body = slot(Opcode.VECTOR, a=A, destination=C, layered=1)
    loop = slot(Opcode.LAYERS, layers=2, slots=1, records=B, record_count=2)
    finished = bench.run(loop, body, END)
    slots, rows = 3, 2
    words = 64 + slots * 32 + rows * 16 + 2 * 32
    ahead = finished.counters["dram_bytes_read"] - words
    assert ahead == 2 * 32  # END, and the body again


def test_a_record_may_make_another_instruction_of_a_slot(bench):
    body = slot(Opcode.VECTOR, a=A, destination=C, layered=1)
    encode = slot(Opcode.ENCODE, source=A)
    bench.put(B, bytes(32) + differs(body, encode))
    loop = slot(Opcode.LAYERS, layers=2, slots=1, records=B, record_count=2)
    counters = bench.run(loop, body, END).counters
    assert counters["vector_cycles"] > 0 and counters["encode_cycles"] > 0


def test_a_long_run_keeps_no_more_than_a_token_s_instructions(bench):
    def peak(positions):
        tracemalloc.start()
        story(bench, positions, channels=1024)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)  # what is made once
    bench.put(A, [1 << 16] * 1024)
    assert peak(40) < 1.5 * peak(4)


def test_a_program_that_goes_wrong_has_no_time(bench):
    bench.put(D, [100])
    finished = story(bench, 3)
    assert finished.error is Error.BAD_TOKEN
    assert finished.counters["cycles"] is None


@pytest.fixture
def sources(tmp_path):
    """Return a root with a copy of the model's sources."""
    for folder in ("sim/cycle/model", "sim/rtl/bench"):
        shutil.copytree(SOURCES / folder, tmp_path / folder)
    return tmp_path


def test_the_model_compiles_without_a_warning(sources):
    library.library(sources, sources / "build")
    (log,) = (sources / "build").rglob("*.log")
    assert log.read_text() == ""


def test_sources_that_do_not_compile_are_an_error_of_a_tool(sources):
    (sources / "sim" / "cycle" / "model" / "model.cpp").write_text("#error broken\n")
    with pytest.raises(ToolError, match=r"^g\+\+ failed with status 1: .*broken"):
        library.library(sources, sources / "build")
    assert not list((sources / "build").rglob("*.so"))
