"""The functional device: what it reads, writes and counts, and which programs it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.model.spiking import SpikingLinear
from hw.contract.isa import HEADER, SLOT_BYTES, Opcode, assemble, disassemble
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS, Error
from sim.check.expected import expect
from sim.cycle.device import Cycle
from sim.functional.device import Functional
from tests.compiler.models import RandomCheckpoint, compiled, one_matrix, recipe

PARAMS = preset("test")
HEADER_BYTES = HEADER.size // 8


@pytest.fixture
def program(tmp_path, rng):
    """Compile one matrix of two tiles for three tokens: ENCODE, MATMUL, ENCODE, MATMUL, END."""
    return compiled(tmp_path / "m", one_matrix(45, 10, 4, has_bias=True), PARAMS, rng, tokens=3)


def memory_of(program):
    """Return a memory image in which channels 1 and 4 fire in round 0, and none in round 1."""
    x = np.zeros((3, 10), np.int32)
    x[0, 1], x[1, 4] = 1 << 16, -(1 << 20)
    return program.image({"s.input": x})


def run(memory, address=0):
    found = Functional().execute(memory, address, PARAMS)
    return found.counters, found.error


def test_counters_of_a_program_counted_by_hand(program):
    counters, error = run(memory_of(program))
    assert error is Error.NONE
    assert counters.keys() == COUNTERS.keys()
    # Row segments: 32 outputs of 4 bits are 2 words of 8 bytes; 13 outputs are 2 beats, 1 word.
    # Channel words: scales and biases of 32 outputs are 2 x 16 words, those of 13 are 2 x 7.
    # Vectors: 10 elements are 5 words.
    program_bytes = 64 + 5 * 32
    assert {name: value for name, value in counters.items() if value is not None} == {
        "events": 2,
        "silent_channels": 18,
        "synaptic_operations": 45 * (2 + 2),  # 127 = 128 - 1
        "row_segments": 4,
        "weight_bytes_read": 2 * (16 + 8),
        "dram_bytes_read": program_bytes + 3 * 40 + 2 * 46 * 8 + 2 * (16 + 8),
        "dram_bytes_written": 3 * 45 * 4,
    }
    assert all(counters[name] is None for name in COUNTERS if name.endswith("cycles"))


# Channels 1 and 4 of round 0 make 127 and -127 spikes, in one product each; 10 channels a round.
OPPONENTS = {
    "multiplies": (
        dict(array="mac"),
        {"events": 2, "silent_channels": 18, "synaptic_operations": 45 * 2, "row_segments": 4},
    ),
    "fetches all": (
        dict(skip_silent=False),
        {"events": 20, "silent_channels": 0, "synaptic_operations": 45 * 4, "row_segments": 40},
    ),
    "both": (
        dict(array="mac", skip_silent=False),
        {"events": 20, "silent_channels": 0, "synaptic_operations": 45 * 2, "row_segments": 40},
    ),
}


@pytest.mark.parametrize(("changes", "counted"), OPPONENTS.values(), ids=OPPONENTS)
def test_an_opponent_gives_the_same_bits_and_counts_what_it_does(tmp_path, seed, changes, counted):
    stages = one_matrix(45, 10, 4, has_bias=True)
    results = {}
    for params in (PARAMS, replace(PARAMS, **changes)):
        rng = np.random.default_rng(seed)
        program = compiled(tmp_path / params.array, stages, params, rng, tokens=3)
        memory = memory_of(program)
        found = Functional().execute(memory, 0, params)
        assert found.error is Error.NONE
        results[params] = program.read(memory, "w.output"), found.counters
    (ours, our_counters), (theirs, counters) = results.values()
    assert np.array_equal(ours, theirs)
    assert {name: counters[name] for name in counted} == counted
    segment_bytes = 16 + 8  # of both tiles
    assert counters["weight_bytes_read"] == counted["events"] * segment_bytes
    more = counters["weight_bytes_read"] - our_counters["weight_bytes_read"]
    assert counters["dram_bytes_read"] == our_counters["dram_bytes_read"] + more


@pytest.mark.parametrize("coding", ["unary", "bitwise", "csd"])
@pytest.mark.parametrize("changes", [changes for changes, _ in OPPONENTS.values()], ids=OPPONENTS)
def test_golden_expects_what_an_opponent_counts(tmp_path, rng, seed, coding, changes):
    checkpoint = RandomCheckpoint(seed)
    chosen = recipe(max_count=15)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    program = build(
        checkpoint,
        ["up0", "o1"],
        tmp_path / "m",
        params=replace(PARAMS, **changes),
        recipe=chosen,
        coding=coding,
        tokens=3,
    )
    inputs = {}
    for name, region in program.inputs.items():
        x = rng.integers(-(1 << 16), 1 << 16, (3, region.channels))
        x[:, rng.random(region.channels) < 0.4] = 0
        inputs[name] = x.astype(np.int32)
    expected = expect(linear, program, inputs)
    result = Cycle().run(program, inputs)  # the functional device, and time
    assert {name: result.counters[name] for name in expected.counters} == expected.counters
    for name, outputs in expected.outputs.items():
        np.testing.assert_array_equal(result.outputs[name], outputs, name)


def test_only_outputs_are_written(program):
    memory = memory_of(program)
    region = program.regions["w.output"]
    stride = PARAMS.vector_bytes(45)
    before = memory.copy()
    before[region.address :][: region.bytes] = memory[region.address :][: region.bytes] = 0xA5
    run(memory)
    changed = np.flatnonzero(memory != before) - region.address
    assert changed.min() >= 0 and changed.max() < 3 * stride
    assert (changed % stride < 45 * 4).all()
    # A silent token's outputs are the biases: every second memory word, of two, and one of padding.
    words = memory[program.regions["w.channel_words"].address :][: 46 * 8].view("<i4")
    biases = words.reshape(-1, 2, 2)[:, 1].reshape(-1)
    assert np.array_equal(program.read(memory, "w.output")[2], biases[:45])


def test_padding_is_not_data(program):
    memory, dirty = memory_of(program), memory_of(program)
    rows = dirty[program.regions["s.input"].address :][: 3 * 40].reshape(3, 40)
    assert rows.shape[1] == 4 * 10  # ten elements fill their words: make them nine
    for image in (memory, dirty):
        edit(image, 0, channels=9)
        edit(image, 2, channels=9)
    rows[:, 36:] = 0x7F
    run(memory)
    run(dirty)
    assert np.array_equal(program.read(memory, "w.output"), program.read(dirty, "w.output"))


def test_what_each_instruction_computed_can_be_observed(program):
    seen = []
    x = np.zeros((3, 10), np.int32)
    x[0, 1] = 1 << 16
    result = Functional(seen.append).run(program, {"s.input": x})
    assert result.error is Error.NONE
    assert [(o.index, o.opcode) for o in seen] == [
        (0, Opcode.ENCODE),
        (1, Opcode.MATMUL),
        (2, Opcode.ENCODE),
        (3, Opcode.MATMUL),
        (4, Opcode.END),
    ]
    assert [o.ends for o in seen] == [False] * 4 + [True]
    assert seen[1].fields["outputs"] == 45 and seen[1].fields["fence"] == 0
    assert seen[0].counts.tolist() == [[0, 127, *[0] * 8], [0] * 10]
    assert seen[0].thresholds == [(1 << 40) // 127, 1 << 24]
    assert seen[0].accumulators is None
    assert seen[1].accumulators.shape == (2, 45)
    assert seen[3].accumulators.tolist() == [[0] * 45]


# --- Bad programs ----------------------------------------------------------------------------


def edit(memory, index, **fields):
    """Change fields of an instruction of the program at address 0."""
    at = HEADER_BYTES + index * SLOT_BYTES
    opcode, values = disassemble(memory[at : at + SLOT_BYTES].tobytes())
    memory[at : at + SLOT_BYTES] = np.frombuffer(assemble(opcode, **(values | fields)), np.uint8)


@pytest.mark.parametrize(
    ("byte", "error"),
    [
        (HEADER["magic"].offset // 8, Error.BAD_MAGIC),
        (HEADER["fingerprint"].offset // 8, Error.BAD_FINGERPRINT),
        (HEADER["fingerprint"].offset // 8 + 31, Error.BAD_FINGERPRINT),
        (HEADER_BYTES, Error.BAD_INSTRUCTION),  # the first opcode
    ],
)
def test_a_wrong_header_or_opcode_stops_the_program(program, byte, error):
    memory = memory_of(program)
    memory[byte] ^= 0x80
    counters, found = run(memory)
    assert found is error
    assert counters["dram_bytes_read"] == HEADER_BYTES + (byte == HEADER_BYTES) * SLOT_BYTES
    assert counters["dram_bytes_written"] == 0


@pytest.mark.parametrize(
    ("index", "fields"),
    [
        *(
            (0, {name: value})
            for name, value in [
                ("rule", 3),
                ("tokens", 0),
                ("tokens", PARAMS.tokens + 1),
                ("channels", 0),
                ("channels", PARAMS.max_channels + 1),
                ("max_count", 0),
                ("divisor", 0),
                ("source", 4),
                ("source_stride", 4),
            ]
        ),
        *(
            (1, {name: value})
            for name, value in [
                ("coding", 3),
                ("weight_width", 3),
                ("weight_width", 0),
                ("outputs", 0),
                ("weights", 4),
                ("channel_words", 4),
                ("destination", 4),
                ("destination_stride", 4),
            ]
        ),
    ],
)
def test_a_field_out_of_range_stops_the_program(program, index, fields):
    memory = memory_of(program)
    edit(memory, index, **fields)
    counters, error = run(memory)
    assert error is Error.BAD_INSTRUCTION
    assert counters["dram_bytes_written"] == 0


def test_a_matmul_before_any_encode_stops_the_program(program):
    memory = memory_of(program)
    memory[HEADER_BYTES : HEADER_BYTES + SLOT_BYTES] = memory[HEADER_BYTES + SLOT_BYTES :][
        :SLOT_BYTES
    ]
    assert run(memory)[1] is Error.BAD_INSTRUCTION


def test_a_program_without_end_stops_after_its_last_slot(program):
    memory = memory_of(program)
    memory[HEADER["slots"].offset // 8] = 2
    counters, error = run(memory)
    assert error is Error.BAD_INSTRUCTION
    assert counters["dram_bytes_written"] == 2 * 45 * 4  # what came before it has been done


@pytest.mark.parametrize(
    ("index", "fields", "error"),
    [
        (0, {"source": 1 << 39}, Error.READ_FAILED),
        (1, {"weights": 1 << 39}, Error.READ_FAILED),
        (1, {"channel_words": 1 << 39}, Error.READ_FAILED),
        (1, {"destination": 1 << 39}, Error.WRITE_FAILED),
    ],
)
def test_addresses_beyond_memory_stop_the_program(program, index, fields, error):
    memory = memory_of(program)
    edit(memory, index, **fields)
    assert run(memory)[1] is error


def test_a_header_beyond_memory_stops_the_program(program):
    memory = memory_of(program)
    assert run(memory, memory.size - 32)[1] is Error.READ_FAILED


def test_an_error_is_reported_in_the_result(program):
    path = program.directory / "program.bin"
    raw = bytearray(path.read_bytes())
    raw[0] ^= 1
    path.write_bytes(raw)  # after it was verified
    result = Functional().run(program, {"s.input": np.zeros((3, 10), np.int32)})
    assert result.error is Error.BAD_MAGIC
    assert (result.outputs["w.output"].view(np.uint8) == 0xA5).all()  # nothing was written
