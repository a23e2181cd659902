"""The cycle model against the RTL, in programs of every instruction: every counter the same."""

import numpy as np
import pytest

from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.cycle.device import Cycle
from sim.device import Registers, Timing
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl
from tests.compiler.models import RandomCheckpoint, recipe
from tests.e2e.cycle_programs import differences, outcomes, random_whole
from tests.e2e.test_cycle import HARDWARE

PARAMS = preset("test")


def compare(wholes, directory) -> None:
    build = build_bench(wholes[0].params)
    pairs = zip(wholes, outcomes(build, wholes, directory), strict=True)
    found = [line for pair in pairs for line in differences(*pair)]
    assert not found, "\n".join(found)


def test_random_programs(tmp_path, rng):
    compare([random_whole(rng, PARAMS) for _ in range(60)], tmp_path)


@pytest.mark.parametrize(("latency", "stalls"), [(1, 0.02), (60, 0.1), (20, 0.3), (3, 0.7)])
def test_random_stalls(tmp_path, rng, seed, latency, stalls):
    timing = Timing(latency=latency, stalls=stalls, seed=seed)
    compare([random_whole(rng, PARAMS, timing) for _ in range(10)], tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("params", HARDWARE.values(), ids=HARDWARE)
def test_random_programs_on_other_hardware(tmp_path, rng, params):
    compare([random_whole(rng, params) for _ in range(40)], tmp_path)


def same(compiled, ids, registers, timing):
    """Run a model on both devices: all that they say is the same, and so is memory."""
    memories, ends = [], []
    for device in (Cycle(timing=timing), Rtl(timing=timing)):
        memory = compiled.image({})
        compiled.token_words(memory)[: len(ids)] = ids
        arguments = (memory, compiled.program_address, compiled.params, registers)
        ends.append(device.execute(*arguments, lambda *_: None))
        memories.append(memory)
    said = [(end.counters, end.error, end.position) for end in ends]  # the RTL's knows more
    assert said[0] == said[1]
    assert ends[0].error is Error.NONE
    assert np.array_equal(*memories)


@pytest.mark.parametrize("stalls", [0, 0.3])
def test_stories(stories260k, tmp_path, rng, seed, stalls):
    checkpoint = load(stories260k)
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=load_recipe("w8"))
    ids = checkpoint.tokenizer.encode("Once upon a time")
    registers = Registers(prompt_end=len(ids), end_position=len(ids) + 2)
    timing = Timing(latency=int(rng.integers(1, 150)), stalls=stalls, seed=seed)
    same(compiled, ids, registers, timing)


@pytest.mark.parametrize("stalls", [0, 0.5])
def test_a_model_that_attends_beyond_a_tile(tmp_path, rng, seed, stalls):
    checkpoint = RandomCheckpoint(seed)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=PARAMS, recipe=recipe(), context=PARAMS.tile_outputs + 3
    )
    ids = rng.integers(0, checkpoint.config.vocab_size, 3).tolist()
    registers = Registers(prompt_end=3, end_position=compiled.context - 1)
    timing = Timing(latency=int(rng.integers(1, 150)), stalls=stalls, seed=seed)
    same(compiled, ids, registers, timing)


@pytest.mark.full
def test_smollm2_135m(smollm2_135m, tmp_path):
    """One token of a prompt and one beyond it."""
    checkpoint = load(smollm2_135m)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=preset("edge"), recipe=load_recipe("w8"), context=64
    )
    same(compiled, [504, 260], Registers(prompt_end=1, end_position=2), Timing())
