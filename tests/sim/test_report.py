"""Verdicts on results, and the report that carries them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiler.programs.layers import build
from golden.model.spiking import SpikingLinear
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.check import report
from sim.check.case import Case
from sim.check.expected import expect
from sim.check.verdict import judge
from sim.cycle.device import Cycle
from sim.errors import HardwareFault
from sim.functional.device import Functional
from sim.rtl.device import RtlResult
from sim.runs.clock import Clock
from sim.runs.energy import effort
from sim.runs.place import Place, write_json
from sim.runs.tally import Tally
from tests.compiler.models import RandomCheckpoint, recipe

REQUIRED = """model layer preset coding recipe seed device bit_exact values_compared mismatches
cycles events silent_channels synaptic_operations weight_bytes_read dense_weight_bytes
dram_bytes_read dram_bytes_written stall_cycles wall_seconds fingerprint versions weights tokens
latency stalls addition_cost_cycles matrices between_matrices array skip_silent
spikes silent_share clock_mhz clock_seconds joules memory_joules energy command waves outputs
previous""".split()


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    checkpoint = RandomCheckpoint(5)
    chosen = replace(recipe(weight_bits=4), name="mine")
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    directory = tmp_path_factory.mktemp("case") / "m"
    options = dict(params=preset("test"), recipe=chosen, tokens=3)
    compiled = build(checkpoint, ["v1"], directory, rows="2:9", **options)
    x = np.random.default_rng(1).integers(-(1 << 18), 1 << 18, (3, 36), dtype=np.int32)
    inputs = {"layers.1.qkv.input": x}
    expected = expect(linear, compiled, inputs)
    return Case(compiled=compiled, inputs=inputs, expected=expected, prompt="a prompt")


@pytest.fixture
def functional(case):
    return Functional().run(case.compiled, case.inputs)


def as_rtl(result, compiled, **changes):
    """Return what the RTL would answer if it did as the functional device."""
    counters = result.counters
    memory = {name: counters[f"dram_{name}"] for name in ("bytes_read", "bytes_written")}
    values = dict(
        outputs=result.outputs,
        counters={**counters, "read_bursts": 9},
        error=result.error,
        status=2,
        fingerprint=compiled.fingerprint,
        memory={**memory, "read_bursts": 9},
        wall_seconds=1.0,
    )
    return RtlResult(**{**values, **changes})


def verdict(case, functional, result):
    return judge(case.compiled, case.expected, functional, result, "rtl")


def test_equal_results_have_no_failure(case, functional):
    found = verdict(case, functional, as_rtl(functional, case.compiled))
    assert found.failures == []
    (matrix,) = found.matrices
    assert (matrix.values_compared, matrix.mismatches, matrix.bit_exact) == (21, 0, True)


def test_the_first_wrong_word_is_named(case, functional):
    output = functional.outputs["layers.1.v.output"].copy()
    output[1, 3] ^= 1
    output[2, 0] = ~output[2, 0]
    result = as_rtl(functional, case.compiled, outputs={"layers.1.v.output": output})
    found = verdict(case, functional, result)
    right = int(case.expected.outputs["layers.1.v.output"][1, 3]) & 0xFFFFFFFF
    place = "layers.1.v.output, token 1, output channel 5"
    assert found.failures == [f"{place}: expected {right:#010x}, got {right ^ 1:#010x}"]
    assert found.matrices[0].mismatches == 2
    assert not found.matrices[0].bit_exact


@pytest.mark.parametrize(
    ("counter", "who"),
    [
        ("events", ["golden", "the functional device"]),
        ("silent_channels", ["golden", "the functional device"]),
        ("synaptic_operations", ["golden", "the functional device"]),
        ("weight_bytes_read", ["golden", "the functional device"]),
        ("row_segments", ["the functional device"]),
        ("dram_bytes_read", ["the functional device", "the memory"]),
        ("dram_bytes_written", ["the functional device", "the memory"]),
        ("read_bursts", ["the memory"]),
    ],
)
def test_a_wrong_counter_is_named(case, functional, counter, who):
    good = as_rtl(functional, case.compiled)
    right = good.counters[counter]
    result = replace(good, counters={**good.counters, counter: right + 1})
    assert verdict(case, functional, result).failures == [
        f"counter {counter}: {name} says {right}, rtl says {right + 1}" for name in who
    ]


def test_golden_knows_the_cycles_of_the_array(case, functional):
    counted = Cycle().run(case.compiled, case.inputs).counters
    (cycles,) = case.expected.cycles.values()
    assert cycles.array_cycles == counted["array_cycles"]
    assert cycles.weight_cycles == counted["weight_bytes_read"] // 8
    assert cycles.addition_cost_cycles == cycles.array_cycles - cycles.weight_cycles > 0

    def failures(array_cycles):
        rtl = as_rtl(functional, case.compiled)
        counters = {**rtl.counters, "array_cycles": array_cycles}
        return verdict(case, functional, replace(rtl, counters=counters)).failures

    right = cycles.array_cycles
    assert failures(right) == []
    sentence = f"counter array_cycles: golden says {right}, rtl says {right + 1}"
    assert failures(right + 1) == [sentence]


def test_an_error_is_named_and_nothing_else(case, functional):
    outputs = {"layers.1.v.output": np.zeros((3, 7), np.int32)}
    result = as_rtl(functional, case.compiled, error=Error.READ_FAILED, outputs=outputs)
    found = verdict(case, functional, result)
    assert found.failures == ["the program ended on rtl with error READ_FAILED"]
    assert found.matrices[0].mismatches > 0


def test_another_fingerprint_is_named(case, functional):
    result = as_rtl(functional, case.compiled, fingerprint="00ff")
    (sentence,) = verdict(case, functional, result).failures
    ours = case.compiled.fingerprint
    assert sentence == f"the fingerprint of the hardware is 00ff, that of the program {ours}"


def assembled(case, found, counters, waves=None):
    clock = Clock()
    clock.seconds.update({"compile": 1.5, "simulate": 2.25})
    tally = Tally(case.compiled)
    reference = Functional(tally).run(case.compiled, case.inputs)
    return report.assemble(
        case,
        found,
        preset="test",
        device="rtl",
        counters=counters,
        settings={"seed": 4, "latency": 60, "stalls": 0.25},
        effort=effort(case.compiled, counters, tally, reference.counters, 200.0),
        clock=clock,
        place=Place(Path("here"), {"command": "python -m sim run", "versions": {"tool": "1"}}),
        waves=waves,
    )


def test_the_report_says_everything(case, functional, tmp_path):
    result = as_rtl(functional, case.compiled)
    made = assembled(case, verdict(case, functional, result), result.counters)
    assert not set(REQUIRED) - made.keys()
    assert (made["bit_exact"], made["passed"], made["mismatches"]) == (True, True, 0)
    assert (made["model"], made["layer"], made["recipe"]) == ("random", "v1", "mine")
    assert (made["weights"], made["wall_seconds"]) == ("real", 3.75)
    assert made["events"] == case.expected.counters["events"]
    write_json(made, tmp_path / "deep" / "report.json")
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == json.loads(
        json.dumps(made)
    )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.json"]


def test_a_run_without_an_end_is_not_bit_exact(case, functional):
    found = verdict(case, functional, HardwareFault("m: no interrupt"))
    made = assembled(case, found, dict.fromkeys(functional.counters))
    assert (made["bit_exact"], made["passed"], made["values_compared"]) == (False, False, 0)
    assert made["failures"] == ["m: no interrupt"]


def test_the_table_shows_what_matters(case, functional, capsys):
    result = as_rtl(functional, case.compiled)
    made = assembled(case, verdict(case, functional, result), result.counters)
    report.show(made, as_json=False)
    shown = capsys.readouterr().out
    assert "layers.1.v " in shown
    assert "random v1 on rtl: test, csd, mine, 3 tokens, real weights" in shown
    report.show(made, as_json=True)
    assert json.loads(capsys.readouterr().out)["layer"] == "v1"
