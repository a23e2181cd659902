"""The RTL between another project's bus models: it needs nothing that only our own memory does."""

import json

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.model.spiking import SpikingLinear
from hw.contract.presets import preset
from sim.check.expected import expect
from sim.device import Timing
from sim.rtl.builds import build_accelerator
from sim.rtl.limits import cycle_limit
from sim.rtl.simulator import cocotb_run
from tests.compiler.models import RandomCheckpoint, recipe
from tests.e2e.rtl_checks import random_inputs

DONE = 2  # STATUS


@pytest.fixture(scope="module")
def accelerator():
    return build_accelerator(preset("test"))


@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_a_layer_on_axi_models_of_cocotbext(accelerator, tmp_path, rng, seed, stalls):
    checkpoint = RandomCheckpoint(seed, layers=1, hidden_size=30, ffn_size=45)
    chosen = recipe(weight_bits=4)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    compiled = build(
        checkpoint,
        ["attn0", "mlp0"],
        tmp_path / "m",
        params=preset("test"),
        recipe=chosen,
        tokens=3,
    )
    inputs = random_inputs(rng, compiled, linear)
    expected = expect(linear, compiled, inputs)
    compiled.image(inputs).tofile(tmp_path / "image")
    task = {
        "program": compiled.program_address,
        "stalls": stalls,
        "limit_cycles": cycle_limit(compiled, Timing(stalls=stalls)),
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    cocotb_run(accelerator, "tests.e2e.rtl_axi_bench", tmp_path, environment={"SEED": str(seed)})
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == DONE
    counters = result["counters"]
    assert {name: counters[name] for name in expected.counters} == expected.counters
    memory = np.fromfile(tmp_path / "memory", np.uint8)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(compiled.read(memory, name), values, name)
