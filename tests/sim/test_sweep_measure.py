"""A row: the cycle device's counters, and area and energy of what was counted."""

import json
from dataclasses import replace

import pytest

from compiler.boards.area import estimate, extrapolated
from compiler.boards.board import boards
from compiler.energy.constants import constants
from golden.checkpoint.checkpoint import load
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS
from sim.__main__ import main
from sim.device import Timing
from sim.sweep.firing import fire
from sim.sweep.measure import Conditions, measure
from sim.sweep.table import SCHEMA
from tests.sim.sweep_cases import CONDITIONS, firing, point

TEST = preset("test")


@pytest.mark.parametrize(
    ("hardware", "coding", "options"),
    [
        ({}, "unary", []),
        ({"array": "mac", "skip_silent": False}, "csd", ["--array", "mac", "--no-skip"]),
    ],
)
def test_every_counter_is_that_of_sim_run(stories260k, tmp_path, hardware, coding, options):
    """What runs from weights, by another way, counts the same; of 3 tokens on hardware of 2."""
    arguments = ["--model", "stories260k", "--preset", "test", "--device", "cycle", "--json"]
    arguments += ["--layer", "attn1,mlp1", "--coding", coding, "--tokens", "3", "--latency", "33"]
    assert main(["run", *arguments, *options, "-o", str(tmp_path)]) == 0
    want = json.loads((tmp_path / "report.json").read_text())
    layers = ["attn1", "mlp1"]
    work = fire(load(stories260k), load_recipe("auto"), layers, "Once upon a time", 3)
    row = measure(work, point(TEST, coding, **hardware), Conditions(timing=Timing(latency=33)))
    assert {name: row[name] for name in COUNTERS} == {name: want[name] for name in COUNTERS}
    assert row["cycles_per_token"] == want["cycles"] / 3
    assert row.keys() <= set(SCHEMA.names)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lanes": 12}, "lanes must be a power of two from 4 to 256, not 12"),
        (
            {"axi_data_width": 256},
            "lanes * banks must be at least axi_data_width / 2 = 128, not 32",
        ),
        ({"max_count": 3}, None),
    ],
)
def test_what_cannot_be_is_a_row_with_a_reason(rng, changed, reason):
    row = measure(firing(rng), point(TEST, **changed), CONDITIONS)
    assert row.keys() == {"status", "reason"}
    assert row["status"] == "refused"
    assert reason is None or row["reason"] == reason


def test_a_fault_of_the_model_is_no_refusal(rng, monkeypatch):
    def broken(*_, **__):
        raise ValueError("of our own making")

    monkeypatch.setattr("sim.sweep.measure.predict", broken)
    with pytest.raises(ValueError, match="of our own making"):
        measure(firing(rng), point(TEST), CONDITIONS)


def test_area_is_the_measured_model_s_and_null_where_that_knows_nothing(rng):
    work = firing(rng)
    row = measure(work, point(TEST, tokens=4), CONDITIONS)
    area = estimate(replace(TEST, tokens=4), "xc7")
    assert (row["fpga_family"], row["all_luts"]) == ("xc7", area.all_luts)
    assert row["block_rams"] == area.block_rams
    assert row["area_is_extrapolated"] is False
    assert measure(work, point(TEST, tokens=8), CONDITIONS)["area_is_extrapolated"] is True
    assert extrapolated(replace(TEST, lanes=256), "ecp5")
    for unknown in ({"array": "mac"}, {"skip_silent": False}, {"event_depth": 8}):
        assert "all_luts" not in measure(work, point(TEST, **unknown), CONDITIONS)


def test_energy_is_of_what_was_counted(rng):
    """Written out: additions, sums, buffers, encoder, requantizer; and every byte of DRAM."""
    work = firing(rng, tokens=4)
    row = measure(work, point(TEST), CONDITIONS)
    known = {name: constant.typical for name, constant in constants().items()}
    tokens, channels, outputs = 4, 40, 70
    moved = row["dram_bytes_read"] + row["dram_bytes_written"]
    assert row["dram_joules_per_token"] * tokens == pytest.approx(
        8 * moved * known["dram_ddr4"] * 1e-12
    )
    beats = row["events"] * 9  # 70 outputs on 8 lanes
    sums = 2 * beats * TEST.tokens * TEST.lanes * TEST.acc_width
    buffers = 16 * row["weight_bytes_read"] + tokens * 2 * channels * 32
    on_chip = row["synaptic_operations"] * known["int32_add"]
    on_chip += (sums + buffers) * known["sram"]
    on_chip += tokens * 8 * channels * known["int32_add"]
    on_chip += tokens * 2 * outputs * known["int32_multiply"]
    assert row["on_chip_joules_per_token"] * tokens == pytest.approx(on_chip * 1e-12)
    total = row["on_chip_joules_per_token"] + row["dram_joules_per_token"]
    assert row["joules_per_token"] == pytest.approx(total)
    no_constant = measure(firing(rng, width=2), point(TEST, array="mac"), CONDITIONS)
    assert no_constant["status"] == "measured"
    assert "joules_per_token" not in no_constant


def test_a_board_s_clock_fpga_and_memory(rng):
    work = firing(rng)
    slow = Conditions(timing=Timing(), board="orangecrab-85f")
    row = measure(work, point(TEST), slow)
    assert row["fpga_family"] == "ecp5"
    assert row["misfit"] == "memory delivers 0.92 words a cycle, not 1"
    fast = Conditions(timing=Timing(), board="kv260")
    row = measure(work, point(TEST), fast)
    clock = boards()["kv260"].clock_mhz.value * 1e6
    assert row["tokens_per_second"] == pytest.approx(clock / row["cycles_per_token"])
    assert row["misfit"] is None
    edge = measure(work, point(preset("edge"), tokens=4, lanes=128), slow)
    assert "LUTs" in edge["misfit"]
    wide = measure(work, point(preset("datacenter")), slow)
    assert wide["tokens_per_second"] is None
    assert f"memory delivers {wide['memory_words_per_cycle']:.2f} words a cycle" in wide["misfit"]
