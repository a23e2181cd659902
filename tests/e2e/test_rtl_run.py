"""The rtl device and its command as a whole: what holds passes, what does not is named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.model.spiking import SpikingLinear
from hw.contract import isa
from hw.contract.presets import preset
from sim.__main__ import main
from sim.device import Timing
from sim.errors import HardwareFault
from sim.rtl.builds import build_bench
from sim.rtl.device import Run
from tests.compiler.models import RandomCheckpoint, recipe
from tests.e2e.rtl_checks import Trial, failures_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    checkpoint = RandomCheckpoint(2, layers=1, hidden_size=40, ffn_size=50)
    chosen = recipe(weight_bits=8)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    directory = tmp_path_factory.mktemp("run") / "m"
    compiled = build(
        checkpoint, ["gate0"], directory, params=preset("test"), recipe=chosen, tokens=2
    )
    x = np.random.default_rng(2).integers(1 << 10, 1 << 16, (2, 40), dtype=np.int32)
    return linear, compiled, {"layers.0.gate_up.input": x}


def failures(rtl, program, **changes) -> list[str]:
    linear, compiled, inputs = program
    run = Run(compiled=compiled, inputs=inputs, **changes)
    (result,) = rtl.run_all([run])
    return failures_of(Trial("t", linear, run), result)


def test_the_command_on_a_real_layer(rtl, stories260k, tmp_path, capsys):
    arguments = ["run", "--layer", "mlp0", "--model", "stories260k", "--preset", "test"]
    arguments += ["--seed", "7", "--stalls", "0.3", "--latency", "33", "-o", str(tmp_path)]
    assert main(arguments) == 0
    made = json.loads((tmp_path / "report.json").read_text())
    assert (made["device"], made["bit_exact"], made["failures"]) == ("rtl", True, [])
    assert (made["seed"], made["stalls"], made["latency"]) == (7, 0.3, 33)
    assert [m["matrix"] for m in made["matrices"]] == [
        "layers.0.gate",
        "layers.0.up",
        "layers.0.down",
    ]
    assert made["cycles"] > made["dram_bytes_read"] / preset("test").axi_bytes
    assert "bit exact" in capsys.readouterr().out


def test_the_second_build_elaborates_nothing(rtl):
    code = """
import sys
from hw.contract.presets import preset
from sim.rtl.builds import build_bench
assert build_bench(preset("test")).cached
assert not {"hw.generate.emit", "hw.top", "torch"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_one_flipped_weight_is_found_in_its_column(rtl, program):
    compiled = program[1]
    address = compiled.regions["layers.0.gate.weights"].address
    row_bytes = compiled.params.row_bytes(32, 8)
    output = 13

    def edit(image):
        image[address + 5 * row_bytes + output] ^= 0x40  # of channel 5, which fires

    (sentence,) = failures(rtl, program, edit=edit)
    assert "layers.0.gate.output, token 0, output channel 13: expected 0x" in sentence


def test_a_spike_too_few_is_found_by_its_count(rtl, program):
    compiled = program[1]
    address = compiled.regions["layers.0.gate_up.input"].address

    def edit(image):
        image[address : address + 4] = 0  # channel 0 of the first token

    found = " ".join(failures(rtl, program, edit=edit))
    assert "output channel 0: expected" in found
    assert "counter synaptic_operations: golden says" in found


def test_a_write_outside_the_outputs_is_found(rtl, program):
    compiled = program[1]
    regions = compiled.regions
    (opcode, fields) = compiled.instructions()[1]
    assert opcode is isa.Opcode.MATMUL
    fields["destination"] = regions["layers.0.gate.weights"].address
    slot = np.frombuffer(isa.assemble(opcode, **fields), np.uint8)
    first = isa.HEADER.size // 8 + isa.SLOT_BYTES

    def edit(image):
        image[first : first + isa.SLOT_BYTES] = slot

    (sentence,) = failures(rtl, program, edit=edit)
    assert f"{fields['destination']:#x} was written and lies in no output" in sentence


def test_a_program_that_never_ends_is_given_up(rtl, program):
    (sentence,) = failures(rtl, program, job={"latency": 1 << 30})
    assert "no memory transfer and no interrupt for 400000 cycles" in sentence
    (sentence,) = failures(rtl, program, job={"latency": 90_000, "limit_cycles": 60_000})
    assert "no interrupt within 100000 cycles, more than it can need" in sentence


def test_run_raises_what_run_all_returns(rtl, program, monkeypatch):
    monkeypatch.setattr("sim.rtl.device.cycle_limit", lambda compiled, timing: 1)
    monkeypatch.setattr(rtl, "_timing", Timing(latency=60_000))
    with pytest.raises(HardwareFault, match="no interrupt within 50000 cycles"):
        rtl.run(*program[1:])


@pytest.mark.full
def test_waves_are_recorded(stories260k, tmp_path):
    arguments = ["run", "--layer", "q0", "--model", "stories260k", "--preset", "test", "--waves"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    (waves,) = tmp_path.glob("waves.*")
    assert waves.stat().st_size > 10_000
    assert waves.suffix == ".fst" or b" module controller " in waves.read_bytes()


def test_every_build_of_the_preset_is_the_same(rtl):
    assert build_bench(preset("test")).executable == rtl._build.executable
