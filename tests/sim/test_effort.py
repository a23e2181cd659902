"""Spikes, time and energy of a run, from what the run itself counted."""

import numpy as np
import pytest

from compiler.energy.constants import constants
from compiler.predict.counts import MULTIPLICATIONS
from compiler.programs.model import build_model
from golden.numerics.codings import encode
from hw.contract.isa import VectorOp
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Registers
from sim.functional.device import Functional
from sim.runs.energy import effort
from sim.runs.tally import Tally
from tests.compiler.models import RandomCheckpoint, recipe

PARAMS = preset("test")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("effort") / "m"
    return build_model(RandomCheckpoint(7), directory, params=PARAMS, recipe=recipe(), context=8)


def executed(model, device):
    """Run three positions; returns the device's counters."""
    memory = model.image({})
    model.token_words(memory)[:2] = 3, 5
    registers = Registers(prompt_end=2, end_position=3)
    return device.execute(memory, model.program_address, PARAMS, registers).counters


def test_spikes_are_those_of_the_trains(model):
    """Of every value that was encoded, the train's nonzero steps, and no others."""
    import torch

    tally, batches = Tally(model), []

    def observe(seen):
        tally(seen)
        if seen.opcode.name == "ENCODE":
            batches.append((seen.counts.copy(), seen.fields["max_count"]))

    counters = executed(model, Functional(observe))
    found = effort(model, counters, tally, counters, 100.0)
    assert found["values_encoded"] == sum(counts.size for counts, _ in batches)
    for coding, said in found["spikes"].items():
        spikes = 0
        for counts, _ in batches:
            trains = encode(torch.from_numpy(counts.astype(np.int8)), coding, said["time_steps"])
            spikes += int((trains != 0).sum())
        assert said["spikes"] == spikes
        assert said["spikes_per_value"] == round(spikes / found["values_encoded"], 6)
    assert found["spikes"]["csd"]["spikes"] < found["spikes"]["unary"]["spikes"]


def test_bytes_of_the_instructions_are_nearly_those_of_the_hardware(model):
    """All that is left is what the hardware reads of the program ahead, and ends of words."""
    tally = Tally(model)
    counters = executed(model, Cycle(observe=tally))
    assert counters["dram_bytes_read"] == pytest.approx(tally.read_bytes, rel=0.05)
    assert 0 < tally.cache_bytes < counters["weight_bytes_read"]


def test_joules_are_the_ledger_s(model):
    tally = Tally(model)
    counters = executed(model, Cycle(observe=tally))
    found = effort(model, counters, tally, counters, 250.0)
    moved = counters["dram_bytes_read"] + counters["dram_bytes_written"]
    assert found["memory_joules"] == pytest.approx(
        8 * moved * constants()["dram_ddr4"].typical * 1e-12
    )
    additions = counters["synaptic_operations"] * constants()["int32_add"].typical * 1e-12
    assert found["energy"]["groups"]["arithmetic"] == pytest.approx(additions)
    assert found["joules"] == pytest.approx(sum(found["energy"]["groups"].values()))
    assert found["clock_seconds"] == counters["cycles"] / 250e6


def test_a_tally_of_another_run_says_nothing(model):
    tally = Tally(model)
    counters = executed(model, Functional(tally))
    other = {**counters, "events": counters["events"] + 1}
    found = effort(model, other, tally, counters, 100.0)
    assert (found["spikes"], found["joules"], found["clock_seconds"]) == (None, None, None)
    assert found["silent_share"] is not None


def test_what_every_vector_operation_multiplies_is_known():
    assert MULTIPLICATIONS.keys() == set(VectorOp)


def test_tallies_add_up(model):
    tally = Tally(model)
    executed(model, Functional(tally))
    whole = Tally.total([tally, tally, tally])
    assert whole.values == 3 * tally.values and whole.read_bytes == 3 * tally.read_bytes
    assert whole.spikes == {coding: 3 * number for coding, number in tally.spikes.items()}
    assert whole.time_steps == tally.time_steps
