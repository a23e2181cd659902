"""With LiteDRAM's controller on the bus: the cycle model's counters are the RTL's, data are right.

Both have the very same controller, so the least that differs on the bus would show.
"""

from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.checkpoint.checkpoint import load
from golden.model.spiking import SpikingLinear
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Timing, memory_before, outputs_in
from sim.errors import HardwareFault, ToolError
from sim.functional.device import Functional
from sim.rtl import litedram as memories
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl, Run
from tests.compiler.models import recipe
from tests.e2e import cycle_programs
from tests.e2e.cycle_checks import differences, random_trial
from tests.e2e.rtl_checks import random_inputs

PARAMS = preset("test")
TIMING = Timing(memory="litedram-ddr3")


@pytest.fixture(scope="module", autouse=True)
def litedram():
    pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")


def bench(params):
    return build_bench(params, memory=TIMING.memory)


def compare(params, trials) -> None:
    results = Rtl(bench(params), timing=TIMING).run_all([trial.run for trial in trials])
    found = []
    for trial, result in zip(trials, results, strict=True):
        found += differences(trial, result)
        assert not isinstance(result, HardwareFault)
        run = trial.run
        memory = memory_before(run.compiled, run.inputs)
        run.edit(memory)
        Functional().execute(memory, run.compiled.program_address, params)
        for name, values in outputs_in(run.compiled, memory).items():
            assert np.array_equal(values, result.outputs[name]), f"{trial.name}: {name}"
    assert not found, "\n".join(found)


def test_random_layers(tmp_path, rng):
    compare(PARAMS, [random_trial(rng, PARAMS, tmp_path / f"{i}", TIMING) for i in range(60)])


def test_random_programs(tmp_path, rng):
    wholes = [cycle_programs.random_whole(rng, PARAMS, TIMING) for _ in range(30)]
    outcomes = cycle_programs.outcomes(bench(PARAMS), wholes, tmp_path)
    pairs = zip(wholes, outcomes, strict=True)
    found = [line for pair in pairs for line in cycle_programs.differences(*pair)]
    assert not found, "\n".join(found)


@pytest.mark.full
@pytest.mark.parametrize("width", [128, 256])
def test_other_widths_of_the_bus(tmp_path, rng, width):
    params = replace(PARAMS, axi_data_width=width, banks=width // 16)
    compare(params, [random_trial(rng, params, tmp_path / f"{i}", TIMING) for i in range(40)])


def test_a_layer_of_stories260k(stories260k, tmp_path, rng):
    stories, chosen = load(stories260k), recipe()
    linear = SpikingLinear(stories.config, stories.tensor, chosen)
    program = build(
        stories, ["attn0", "mlp0"], tmp_path / "m", params=PARAMS, recipe=chosen, tokens=3
    )
    run = Run(compiled=program, inputs=random_inputs(rng, program, linear), timing=TIMING)
    (result,) = Rtl(bench(PARAMS)).run_all([run])
    assert not isinstance(result, HardwareFault)
    mine = Cycle(timing=TIMING).run(program, run.inputs)
    assert mine.counters == result.counters
    for name, values in mine.outputs.items():
        assert np.array_equal(values, result.outputs[name]), name
    ideal = Cycle(timing=Timing(latency=1)).run(program, run.inputs).counters
    assert ideal["dram_bytes_read"] == mine.counters["dram_bytes_read"]
    # What the controller takes is there.
    assert int(ideal["cycles"] or 0) < int(mine.counters["cycles"] or 0)


@pytest.mark.parametrize("given", [{"latency": 10}, {"stalls": 0.1}])
def test_latency_and_stalls_are_of_the_ideal_memory(given):
    with pytest.raises(ValueError) as caught:
        Timing(memory="litedram-ddr3", **given)
    want = "latency and stalls must be left out with the memory litedram-ddr3: "
    assert str(caught.value) == want + "it has those of its controller"


def test_without_litex_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(memories.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ToolError) as caught:
        bench(PARAMS)
    want = "the memory litedram-ddr3 needs the Python package litedram: "
    assert str(caught.value) == want + "pip install 'spikeloom[soc]'"
