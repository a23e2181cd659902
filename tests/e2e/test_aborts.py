"""Runs that are ended by host, watchdog, memory or program, in any cycle; the next one is right."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.layers import build
from compiler.programs.model import build_model
from golden.model.integer import IntegerModel
from golden.model.spiking import SpikingLinear
from hw.contract import isa
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.check.expected import expect
from sim.device import Registers, memory_before, outputs_in
from sim.functional.device import Functional
from sim.rtl.aborts import BadProgram, end_at_random
from sim.rtl.builds import build_aborts
from tests.compiler.models import RandomCheckpoint, recipe
from tests.e2e.rtl_checks import random_inputs

# Small, so that it is built quickly and everything is often full; no block is left out.
PARAMS = replace(
    preset("test"),
    tokens=2,
    lanes=4,
    banks=8,
    max_channels=128,
    max_burst_words=8,
    fetch_depth=32,
    event_depth=8,
)
HEADER_BYTES = isa.HEADER.size // 8
ROUNDS, MODEL_ROUNDS, ALL_ROUNDS = 400, 60, 20_000  # half of them are aborts
MEMORY_ERRORS = {Error.READ_FAILED, Error.WRITE_FAILED}
ERRORS = {
    "abort": {Error.ABORTED},
    "abort, lost responses": {Error.ABORTED},
    "watchdog, lost responses": {Error.WATCHDOG},
    "watchdog, late responses": {Error.WATCHDOG},
    "watchdog, nothing wrong": set(),
    "SLVERR": MEMORY_ERRORS,
    "DECERR": MEMORY_ERRORS,
    "wrong program": {Error.BAD_MAGIC, Error.BAD_FINGERPRINT, Error.BAD_INSTRUCTION},
}
"""What each way ends in, all of which must happen; some runs end well before it."""


@pytest.fixture(scope="module")
def bench():
    return build_aborts(PARAMS)


def bad_programs(program: int) -> list[BadProgram]:
    """Return errors in header and instructions; slot 0 is an ENCODE, slot 1 a MATMUL."""
    slots = program + HEADER_BYTES
    header = slots - isa.SLOT_BYTES
    second = slots + isa.SLOT_BYTES
    return [
        BadProgram(address=program, mask=1, error=Error.BAD_MAGIC, fault=header),
        BadProgram(address=program + 32, mask=1, error=Error.BAD_FINGERPRINT, fault=header),
        BadProgram(address=program + 63, mask=128, error=Error.BAD_FINGERPRINT, fault=header),
        BadProgram(address=slots, mask=0xF0, error=Error.BAD_INSTRUCTION, fault=slots),
        BadProgram(address=second, mask=0xF0, error=Error.BAD_INSTRUCTION, fault=second),
    ]


def end(bench, directory, rng, rounds, seed):
    """Compile a program, and end it so many times; return how it ended."""
    checkpoint = RandomCheckpoint(seed, layers=1, hidden_size=30, ffn_size=45)
    chosen = recipe(weight_bits=4)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    names = ["q0", "gate0", "down0"]
    compiled = build(checkpoint, names, directory / "m", params=PARAMS, recipe=chosen, tokens=3)
    inputs = random_inputs(rng, compiled, linear)
    before = memory_before(compiled, inputs)
    after = before.copy()
    Functional().execute(after, compiled.program_address, PARAMS)
    for name, values in expect(linear, compiled, inputs).outputs.items():
        np.testing.assert_array_equal(outputs_in(compiled, after)[name], values, name)
    return end_at_random(
        bench,
        compiled,
        before,
        after,
        bad=bad_programs(compiled.program_address),
        rounds=rounds,
        seed=seed,
        directory=directory,
    )


def end_model(bench, directory, rng, rounds, seed):
    """Do the same with a whole model, in which every block works."""
    checkpoint = RandomCheckpoint(seed, layers=1, hidden_size=30, ffn_size=45)
    compiled = build_model(checkpoint, directory / "m", params=PARAMS, recipe=recipe(), context=16)
    ids = rng.integers(0, checkpoint.config.vocab_size, 2).tolist()
    before = compiled.image({})
    compiled.token_words(before)[:2] = ids
    after, registers = before.copy(), Registers(prompt_end=2, end_position=3)
    Functional().execute(after, compiled.program_address, PARAMS, registers)
    made = compiled.token_words(after)[2:4].tolist()
    assert made == IntegerModel(checkpoint, recipe()).generate(ids, 2)
    return end_at_random(
        bench,
        compiled,
        before,
        after,
        registers=registers,
        bad=bad_programs(compiled.program_address),
        rounds=rounds,
        seed=seed,
        directory=directory,
    )


def check(ended, rounds):
    """Assert that everything that may happen did, and nothing else."""
    for way, errors in ERRORS.items():
        happened = {int(what.rsplit(" ", 1)[1]) for what in ended if what.startswith(f"{way}: err")}
        assert happened - {Error.NONE.value} == {error.value for error in errors}, way
    assert ended["abort, lost responses: given up"]
    assert ended["abort while idle"] and ended["reset"]
    after = sum(count for what, count in ended.items() if "the run after it: error 0" in what)
    assert after == rounds


def test_hundreds_of_ends(bench, tmp_path, rng, seed):
    check(end(bench, tmp_path, rng, ROUNDS, seed), ROUNDS)


def test_ends_of_a_whole_model(bench, tmp_path, rng, seed):
    ended = end_model(bench, tmp_path, rng, MODEL_ROUNDS, seed)
    after = sum(count for what, count in ended.items() if "the run after it: error 0" in what)
    assert after == MODEL_ROUNDS
    assert ended[f"abort: error {Error.ABORTED.value}"]


@pytest.mark.full
def test_ten_thousand_aborts(bench, tmp_path, rng, seed):
    ended = end(bench, tmp_path, rng, ALL_ROUNDS, seed)
    check(ended, ALL_ROUNDS)
    aborts = ended["abort: error 0"] + ended[f"abort: error {Error.ABORTED.value}"]
    assert aborts > 9_500
