"""What the RTL does with bad programs, a failing memory, resets and restarts."""

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.model.spiking import SpikingLinear
from hw.contract import isa
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.device import Timing
from sim.rtl.device import Run
from tests.compiler.models import RandomCheckpoint, recipe
from tests.e2e.rtl_checks import Trial, failures_of, random_inputs

BUSY, DONE, ERROR = 1, 2, 4  # bits of STATUS
HEADER_BYTES = isa.HEADER.size // 8


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    checkpoint = RandomCheckpoint(1, layers=1, hidden_size=70, ffn_size=45)
    chosen = recipe(weight_bits=8)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    compiled = build(
        checkpoint,
        ["q0", "gate0", "down0"],
        tmp_path_factory.mktemp("errors") / "m",
        params=preset("test"),
        recipe=chosen,
        tokens=3,
    )
    return linear, compiled, random_inputs(np.random.default_rng(1), compiled, linear)


def run_of(program, **changes) -> Run:
    _, compiled, inputs = program
    return Run(compiled=compiled, inputs=inputs, **changes)


def check_good(program, run, result) -> None:
    """Assert that a run is right in every word and counter, and says so in STATUS."""
    failures = failures_of(Trial("good", program[0], run), result)
    assert not failures, "\n".join(failures)
    assert result.status == DONE


def check_error(result, error, name) -> None:
    assert not isinstance(result, Exception), f"{name}: {result}"
    assert result.error is error, f"{name}: {result.error}, not {error}"
    assert result.status & (BUSY | ERROR) == ERROR, f"{name}: STATUS is {result.status}"


def flip(byte, bit=0):
    """Return an edit that inverts one bit of the program."""

    def edit(image):
        image[byte] ^= 1 << bit

    return edit


def patch(index, **values):
    """Return an edit that changes fields of instruction `index`, whatever they may hold."""

    def edit(image):
        place = slice(HEADER_BYTES + index * isa.SLOT_BYTES, HEADER_BYTES + (index + 1) * 32)
        slot = int.from_bytes(image[place].tobytes(), "little")
        layout = isa.INSTRUCTIONS[isa.Opcode(slot & 0xFF)]
        for name, value in values.items():
            field = layout[name]
            slot &= ~(((1 << field.width) - 1) << field.offset)
            slot |= value << field.offset
        image[place] = np.frombuffer(slot.to_bytes(32, "little"), np.uint8)

    return edit


def drop_encode(image):
    """Overwrite the first ENCODE by the MATMUL behind it: there are no spikes to spend."""
    first, second = HEADER_BYTES, HEADER_BYTES + isa.SLOT_BYTES
    image[first:second] = image[second : second + isa.SLOT_BYTES]


# The program: ENCODE 0, MATMUL 1 for two rounds of q0's site, and so on.
BAD_PROGRAMS = {
    "magic": (flip(0), Error.BAD_MAGIC),
    "magic's last bit": (flip(3, 7), Error.BAD_MAGIC),
    "fingerprint's first bit": (flip(32), Error.BAD_FINGERPRINT),
    "fingerprint's last bit": (flip(63, 7), Error.BAD_FINGERPRINT),
    "opcode 0": (patch(0, opcode=0), Error.BAD_INSTRUCTION),
    "opcode 4": (patch(1, opcode=4), Error.BAD_INSTRUCTION),
    "opcode 0x82": (patch(2, opcode=0x82), Error.BAD_INSTRUCTION),
    "no END": (flip(4), Error.BAD_INSTRUCTION),
    "MATMUL before ENCODE": (drop_encode, Error.BAD_INSTRUCTION),
    "rule": (patch(0, rule=3), Error.BAD_INSTRUCTION),
    "no tokens": (patch(0, tokens=0), Error.BAD_INSTRUCTION),
    "tokens": (patch(0, tokens=3), Error.BAD_INSTRUCTION),
    "no channels": (patch(0, channels=0), Error.BAD_INSTRUCTION),
    "channels": (patch(0, channels=2049), Error.BAD_INSTRUCTION),
    "max_count": (patch(0, max_count=0), Error.BAD_INSTRUCTION),
    "divisor": (patch(0, divisor=0), Error.BAD_INSTRUCTION),
    "source": (patch(2, source=4), Error.BAD_INSTRUCTION),
    "coding": (patch(1, coding=3), Error.BAD_INSTRUCTION),
    "weight_width": (patch(1, weight_width=5), Error.BAD_INSTRUCTION),
    "no outputs": (patch(3, outputs=0), Error.BAD_INSTRUCTION),
    "weights": (patch(1, weights=1), Error.BAD_INSTRUCTION),
    "channel_words": (patch(1, channel_words=4), Error.BAD_INSTRUCTION),
    "destination": (patch(1, destination=2), Error.BAD_INSTRUCTION),
}


def test_bad_programs_are_refused_and_the_next_one_runs(rtl, program, seed):
    runs, names = [], []
    for name, (edit, _) in BAD_PROGRAMS.items():
        for stalls in (0.0, 0.4):
            timing = Timing(stalls=stalls, seed=seed)
            # The good program behind each bad one finds the hardware as the bad one left it.
            runs += [
                run_of(program, edit=edit, timing=timing),
                run_of(program, timing=timing, job={"reset": False}),
            ]
            names.append(name)
    results = rtl.run_all(runs)
    for i, name in enumerate(names):
        check_error(results[2 * i], BAD_PROGRAMS[name][1], name)
        check_good(program, runs[2 * i + 1], results[2 * i + 1])


def test_refused_programs_touch_nothing(rtl, program):
    names = [name for name in BAD_PROGRAMS if name.startswith(("magic", "fingerprint", "opcode 0"))]
    results = rtl.run_all([run_of(program, edit=BAD_PROGRAMS[name][0]) for name in names])
    for result in results[:-1]:
        assert result.counters["dram_bytes_written"] == 0
        assert all((words == -0x5A5A5A5B).all() for words in result.outputs.values())


def words_of(compiled, kind):
    """Return the first and the last word of each region of a kind, as ranges of addresses."""
    word = compiled.params.axi_bytes
    for region in compiled.regions.values():
        if region.kind == kind:
            yield [region.address, region.address + word]
            last = region.address + (region.bytes - 1) // word * word
            yield [last, last + word]


@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_read_errors(rtl, program, seed, stalls):
    compiled, timing = program[1], Timing(stalls=stalls, seed=seed)
    kinds = ("program", "input", "weights", "channel_words")
    words = {kind: list(words_of(compiled, kind)) for kind in kinds}
    # A region may end in words that are only padding, which need not be read.
    bad = [words["program"][0], words["input"][0], words["weights"][0], words["channel_words"][0]]
    bad += [words["program"][1]]
    runs = []
    for place in bad:
        runs += [
            run_of(program, timing=timing, job={"failing_reads": [place]}),
            run_of(program, timing=timing, job={"reset": False}),
        ]
    results = rtl.run_all(runs)
    for i, place in enumerate(bad):
        check_error(results[2 * i], Error.READ_FAILED, f"read of {place[0]:#x}")
        check_good(program, runs[2 * i + 1], results[2 * i + 1])


@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_write_errors(rtl, program, seed, stalls):
    compiled, timing = program[1], Timing(stalls=stalls, seed=seed)
    runs, bad = [], list(words_of(compiled, "output"))[::2]
    for place in bad:
        runs += [
            run_of(program, timing=timing, job={"failing_writes": [place]}),
            run_of(program, timing=timing, job={"reset": False}),
        ]
    results = rtl.run_all(runs)
    for i, place in enumerate(bad):
        check_error(results[2 * i], Error.WRITE_FAILED, f"write to {place[0]:#x}")
        check_good(program, runs[2 * i + 1], results[2 * i + 1])


def test_reset_in_the_middle_of_a_run(rtl, program, rng, seed):
    good = run_of(program, timing=Timing(stalls=0.3, seed=seed))
    (whole,) = rtl.run_all([good])
    check_good(program, good, whole)
    runs = []
    for cycles in rng.integers(1, whole.counters["cycles"], size=25):
        job = {"abandon_after_cycles": int(cycles)}
        runs += [run_of(program, timing=good.timing, job=job), good]
    for run, result in list(zip(runs, rtl.run_all(runs), strict=True))[1::2]:
        check_good(program, run, result)


def test_programs_without_a_reset_between_them_count_from_zero(rtl, program):
    runs = [run_of(program, job={"reset": not i}) for i in range(3)]
    results = rtl.run_all(runs)
    for run, result in zip(runs, results, strict=True):
        check_good(program, run, result)
    assert results[1].counters == results[2].counters


def test_the_five_kinds_of_cycles_add_up(rtl, program, seed):
    runs = [run_of(program, timing=Timing(stalls=stalls, seed=seed)) for stalls in (0.0, 0.5)]
    for result in rtl.run_all(runs):
        kinds = ("array", "stall", "encode", "drain", "idle")
        cycles = [result.counters[f"{kind}_cycles"] for kind in kinds]
        assert sum(cycles) == result.counters["cycles"]
