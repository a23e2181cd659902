"""The cycle model against the RTL: every counter the same, no cycle more or less."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.checkpoint.checkpoint import load
from golden.model.spiking import SpikingLinear
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Timing
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl, Run
from tests.compiler.models import recipe
from tests.e2e.cycle_checks import differences, random_trial
from tests.e2e.rtl_checks import CODINGS, random_inputs

HARDWARE = {
    "edge": preset("edge"),
    "array=mac": replace(preset("test"), array="mac"),
    "skip_silent=False": replace(preset("test"), skip_silent=False),
    "one token, wide memory": replace(
        preset("test"),
        tokens=1,
        banks=32,
        axi_data_width=256,
        max_burst_words=64,
    ),
    "five tokens, one bank, short queues": replace(
        preset("test"),
        tokens=5,
        lanes=32,
        banks=1,
        axi_data_width=128,
        max_burst_words=4,
        fetch_depth=16,
        event_depth=4,
        scan_width=64,
        weight_widths=(8, 4),
        max_count=31,
    ),
}


def compare(rtl, trials) -> None:
    results = rtl.run_all([trial.run for trial in trials])
    found = [line for pair in zip(trials, results, strict=True) for line in differences(*pair)]
    assert not found, "\n".join(found)


def test_random_programs(rtl, tmp_path, rng):
    params = preset("test")
    compare(rtl, [random_trial(rng, params, tmp_path / f"{i}") for i in range(200)])


def test_random_programs_on_the_opponent(tmp_path, rng):
    params = replace(preset("test"), array="mac", skip_silent=False)
    trials = [random_trial(rng, params, tmp_path / f"{i}") for i in range(40)]
    compare(Rtl(build_bench(params)), trials)


@pytest.mark.full
@pytest.mark.parametrize("params", HARDWARE.values(), ids=HARDWARE)
def test_random_programs_on_other_hardware(tmp_path, rng, params):
    trials = [random_trial(rng, params, tmp_path / f"{i}") for i in range(60)]
    compare(Rtl(build_bench(params)), trials)


@pytest.mark.parametrize(("latency", "stalls"), [(1, 0.01), (60, 0.1), (20, 0.3), (3, 0.7)])
def test_random_stalls(rtl, tmp_path, rng, seed, latency, stalls):
    timing = Timing(latency=latency, stalls=stalls, seed=seed)
    compare(rtl, [random_trial(rng, preset("test"), tmp_path / f"{i}", timing) for i in range(10)])


@pytest.mark.parametrize(("latency", "stalls"), [(1, 0.0), (20, 0.3), (3, 0.7)])
def test_a_memory_that_takes_addresses_of_writes_only_with_data(
    rtl, tmp_path, rng, seed, latency, stalls
):
    timing = Timing(latency=latency, stalls=stalls, seed=seed, data_first=True)
    compare(rtl, [random_trial(rng, preset("test"), tmp_path / f"{i}", timing) for i in range(10)])


QUICK = [("csd", 8), ("bitwise", 4), ("unary", 2)]


@pytest.mark.parametrize(
    ("coding", "bits"),
    [
        pytest.param(*which, marks=() if which in QUICK else pytest.mark.full)
        for which in itertools.product(CODINGS, (8, 4, 2))
    ],
)
def test_every_layer_of_stories260k(rtl, stories260k, tmp_path, rng, coding, bits):
    stories = load(stories260k)
    layers = [f"{kind}{n}" for n in range(stories.config.layers) for kind in ("attn", "mlp")]
    chosen = recipe(weight_bits=bits)
    linear = SpikingLinear(stories.config, stories.tensor, chosen)
    program = build(
        stories,
        [*layers, "lm_head"],
        tmp_path / "m",
        params=preset("test"),
        recipe=chosen,
        coding=coding,
        tokens=3,
    )
    inputs = random_inputs(rng, program, linear)
    timing = Timing(latency=int(rng.integers(1, 150)))
    (result,) = rtl.run_all([Run(compiled=program, inputs=inputs, timing=timing)])
    mine = Cycle(timing=timing).run(program, inputs)
    assert mine.counters == result.counters
    assert mine.outputs.keys() == result.outputs.keys()
    for name, values in mine.outputs.items():
        assert np.array_equal(values, result.outputs[name]), name


@pytest.mark.full
@pytest.mark.parametrize("layers", [["q3", "o3"], ["gate11", "up11", "down11"]], ids=",".join)
@pytest.mark.parametrize("bits", [8, 4])
def test_layers_of_smollm2_135m(smollm2_135m, tmp_path, rng, layers, bits):
    checkpoint = load(smollm2_135m)
    chosen = recipe(weight_bits=bits)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    params = preset("edge")
    program = build(checkpoint, layers, tmp_path / "m", params=params, recipe=chosen, tokens=2)
    run = Run(compiled=program, inputs=random_inputs(rng, program, linear))
    (result,) = Rtl(build_bench(params)).run_all([run])
    assert Cycle(timing=run.timing).run(program, run.inputs).counters == result.counters
