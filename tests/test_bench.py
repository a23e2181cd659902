"""The benches: that what they run is checked, and what they write is what they measured."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from bench import area, arrays, front, profile, reports, roofline, sim_speed
from bench.__main__ import main
from bench.docs import page_of, section, write_docs
from bench.figures import FIGURES
from bench.grammar import BENCHES
from bench.lanes import Lanes
from bench.tables import TABLES
from bench.workload import Workload, run_checked
from golden.console.version import about
from hw.contract.presets import preset
from hw.generate import yosys
from sim.device import Timing
from sim.rtl.builds import build_bench

TEST = preset("test")


@pytest.fixture(scope="module")
def reports_of_a_small_model(stories260k):
    """Return reports of the benches that simulate, on the smallest model and hardware."""
    model = str(stories260k)
    return {
        "roofline": roofline.measure(model=model, preset_name="test", head_rows=64),
        "arrays": arrays.measure(
            model=model,
            preset_name="test",
            layers=("k0",),
            hardware=("spike", "mac"),
        ),
    }


def test_profile_holds_predictions_against_both_devices(stories260k, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("Once upon a time, there was a little girl named Lily. She was happy.\n" * 12)
    small = dict(
        model=str(stories260k),
        preset_name="test",
        recipes=("w8",),
        text=text,
        tokens=64,
        context=32,
        position=6,
        rtl_layers=1,
        profiles=tmp_path,
    )
    report = profile.measure(**small)
    (found,) = report["recipes"]
    assert [*found["predicted"]] == [*(f"layers.{i}" for i in range(5)), "head"]
    simulated = found["simulated"]
    layers = [*simulated["layers"], simulated["head"]]
    for name in ("cycles", "read_bursts", "dram_bytes_read"):
        assert sum(row[name] for row in layers) == simulated["totals"][0][name]
    assert all(row["cycles"] > 0 for row in layers)
    before = (tmp_path / "stories260K-w8.npz").stat().st_mtime_ns
    assert profile.measure(**small) == report
    assert (tmp_path / "stories260K-w8.npz").stat().st_mtime_ns == before
    assert "| layers.4 | " in TABLES["profile"](report)


def test_the_front_is_what_calibration_measures(stories260k, tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("Once upon a time, there was a little girl named Lily. She was happy.\n" * 700)
    report = front.measure(model="stories260k", text=text, tokens=1024, shares=(0.1, 0.4))
    assert list(report["curves"]) == ["as it is", "folded"] and report["tokens"] == 512
    for low, high in report["curves"].values():
        assert low["skipped"] < high["skipped"] and 0.5 < low["ratio"] < high["ratio"]
    shown = TABLES["front"](report)
    assert f"{report['curves']['folded'][1]['ratio']:.4f} at " in shown
    with pytest.raises(ValueError, match="^model must have a recipe of its own for this bench"):
        front.measure(model="sdllm-7b")


# --- What is measured -------------------------------------------------------------------------


def test_roofline_counts_the_bytes_of_each_run(reports_of_a_small_model):
    rows = reports_of_a_small_model["roofline"]["rows"]
    runs = {(row["name"], row["activations"]): row for row in rows}
    assert len(runs) == len(rows) == 3 * len(roofline.KINDS) + 2 + len(roofline.KINDS) + 1
    for row in rows:
        assert row["touched_cycles"] * TEST.axi_bytes == row["dram_bytes_read"]
        silent_bytes = row["dense_weight_bytes"] - row["weight_bytes_read"]
        assert (row["dense_cycles"] - row["touched_cycles"]) * TEST.axi_bytes == silent_bytes
        assert row["cycles"] >= row["touched_cycles"]
        assert row["cycles_to_touched"] == row["cycles"] / row["touched_cycles"]
        assert row["cycles_to_dense"] == row["cycles"] / row["dense_cycles"]
        if row["activations"] == "dense":
            assert row["silent_channels"] == 0
            prompt = runs[row["name"], "prompt"]
            assert row["dense_cycles"] == row["touched_cycles"] == prompt["dense_cycles"]
    every = runs[roofline.ALL, "prompt"]
    first = [runs[f"{kind}0", "prompt"]["weight_bytes_read"] for kind in ("attn", "mlp")]
    assert every["weight_bytes_read"] > sum(first)


def test_arrays_give_the_same_bits_and_count_their_own_work(reports_of_a_small_model):
    rows = reports_of_a_small_model["arrays"]["rows"]
    runs = {(row["hardware"], row["weight_width"], row["tokens"]): row for row in rows}
    assert len(runs) == len(rows) == 2 * len(TEST.weight_widths) * TEST.tokens
    for (hardware, *plan), row in runs.items():
        if hardware == "spike":
            mac = runs[("mac", *plan)]
            assert mac["synaptic_operations"] < row["synaptic_operations"]
            assert mac["events"] == row["events"]
    assert len({row["events"] for row in rows if row["tokens"] == 1}) == 1  # the same spikes


@pytest.mark.full
def test_every_opponent_runs_every_width(stories260k):
    layers = ("gate1", "down4")
    report = arrays.measure(model=str(stories260k), preset_name="test", layers=layers)
    assert len(report["rows"]) == len(arrays.HARDWARE) * len(layers) * 3 * 2
    for row in report["rows"]:
        assert (row["silent_channels"] == 0) >= row["hardware"].endswith("all fetched")


def test_a_wrong_bit_ends_a_bench(stories260k, tmp_path):
    workload = Workload(str(stories260k), tokens=1)
    program = workload.program(["k0"], tmp_path / "m", params=TEST)
    outputs = {name: x ^ 1 for name, x in program.expected.outputs.items()}
    wrong = replace(program, expected=replace(program.expected, outputs=outputs))
    with pytest.raises(RuntimeError, match=r"^k0: layers\.0\.k\.output, token 0"):
        run_checked(build_bench(TEST), [wrong], timing=Timing())


def test_two_accelerators_that_differ_end_a_bench(stories260k, monkeypatch):
    calls = []

    def run_wrongly(build, programs, *, timing):
        results = run_checked(build, programs, timing=timing)
        calls.append(build)
        if len(calls) == 2:
            for outputs in (result.outputs for result in results):
                outputs |= {name: x ^ 1 for name, x in outputs.items()}
        return results

    monkeypatch.setattr(arrays, "run_checked", run_wrongly)
    monkeypatch.setitem(arrays.HARDWARE, "twin", arrays.HARDWARE["spike"])
    with pytest.raises(RuntimeError, match="twin gives other bits than spike"):
        arrays.measure(
            model=str(stories260k), preset_name="test", layers=("k0",), hardware=("spike", "twin")
        )


@pytest.mark.full
def test_sim_speed_runs_the_same_program_on_every_simulator(stories260k):
    report = sim_speed.measure(model=str(stories260k), presets=("test",), layer="k0", repeats=1)
    rows = {row["simulator"]: row for row in report["rows"]}
    assert len({row["cycles"] for row in rows.values()}) == 1
    assert {sim_speed.LOOP, sim_speed.COCOTB} < rows.keys()
    assert all(row["cycles_per_second"] > 0 for row in rows.values())
    assert rows[sim_speed.COCOTB]["build_seconds"] > 0
    table = TABLES["sim_speed"]({**report, "machine": reports.about_machine()})
    assert len(table.splitlines()) == 4 + len(rows)


# --- Area ---------------------------------------------------------------------------------------

_PROOF = """\
read_verilog top.v
prep -top top
design -save gold
techmap -map {multiplier}
opt_clean
select -assert-none t:$mul
design -stash gate
design -copy-from gold -as gold top
design -copy-from gate -as gate top
miter -equiv -flatten -make_outputs gold gate miter
sat -verify -prove trigger 0 miter
"""


@pytest.mark.parametrize("sign", ["signed", ""])
@pytest.mark.parametrize(("a", "b", "y"), [(6, 6, 12), (6, 5, 9), (4, 7, 11), (3, 1, 4), (1, 5, 9)])
def test_the_multiplier_of_rows_multiplies(tmp_path, sign, a, b, y):
    (tmp_path / "top.v").write_text(
        f"module top(input {sign} [{a - 1}:0] a, input {sign} [{b - 1}:0] b,"
        f" output {sign} [{y - 1}:0] y); assign y = a * b; endmodule"
    )
    yosys.run(_PROOF.format(multiplier=area.MULTIPLIER).splitlines(), tmp_path)


@pytest.mark.parametrize("kind", ["adder", "spike", "mac"])
def test_lanes_add_what_the_array_adds(kind, rng):
    weights = rng.integers(-127, 128, (50, 3))
    factors = rng.integers(0, 8 if kind == "spike" else 128, 50)
    signs = rng.integers(-1, 2, 50)
    dut = Lanes(kind, 8, 24, 3)

    async def feed(ctx):
        for beat, factor, sign in zip(weights.tolist(), factors.tolist(), signs, strict=True):
            ctx.set(dut.weights, sum((w & 0xFF) << 8 * lane for lane, w in enumerate(beat)))
            ctx.set(dut.factor, factor)
            ctx.set(dut.plus, int(sign > 0))
            ctx.set(dut.minus, int(sign < 0))
            await ctx.tick()
        ctx.set(dut.plus, 0)
        ctx.set(dut.minus, 0)
        await ctx.tick().repeat(2)
        raw = ctx.get(dut.v_mem).to_bytes(9, "little")
        seen.extend(int.from_bytes(raw[3 * i : 3 * i + 3], "little", signed=True) for i in range(3))

    seen = []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.run()
    times = {"adder": 1, "spike": 1 << factors, "mac": factors}[kind]
    assert seen == (weights * (signs * times)[:, None]).sum(axis=0).tolist()


def test_area_of_bare_lanes_on_ecp5(monkeypatch):
    monkeypatch.setattr(area, "FAMILIES", {"ecp5": area.FAMILIES["ecp5"]})
    monkeypatch.setattr(area, "_array_tasks", lambda base: [])
    report = area.measure(bare_lanes=2, tops=())
    luts = {}
    for row in report["rows"]:
        assert row["dsps"] == (2 if row["array"] == "mac" and row["dsps_allowed"] else 0)
        assert row["block_rams"] == row["ram_luts"] == 0
        luts[row["array"], row["dsps_allowed"], row["widths"]] = row["luts"]
    for widths in ("W8/A20", "W4/A16"):
        assert luts["adder", True, widths] < luts["spike", True, widths]
        assert luts["spike", True, widths] < luts["mac", False, widths]


def test_a_cell_that_cannot_be_counted_is_named(monkeypatch):
    assert area.tally({"LUT4": 3, "CCU2C": 2, "PFUMX": 9, "RAMB36E1": 1})["luts"] == 7
    with pytest.raises(RuntimeError, match="cannot count: ALU54B$"):
        area.tally({"ALU54B": 1})


# --- What is written ----------------------------------------------------------------------------


def test_docs_are_written_from_reports(reports_of_a_small_model, tmp_path):
    page = tmp_path / "performance.md"
    marks = [f"<!-- {name}: generated -->\nold\n<!-- end of {name} -->" for name in BENCHES]
    page.write_text("# Head\n" + "\n".join(marks) + "\ntail\n")
    for name, report in reports_of_a_small_model.items():
        reports.write(name, report, tmp_path)
        written = write_docs(name, tmp_path, page)
        assert set(written) == {page, *(tmp_path / "figures" / f for f in FIGURES.get(name, {}))}
        assert all(path.stat().st_size for path in written)
    text = page.read_text()
    assert text.startswith("# Head\n") and text.endswith("\ntail\n")
    assert text.count("old") == len(BENCHES) - len(reports_of_a_small_model)
    every = reports_of_a_small_model["roofline"]["rows"]
    for row in every:
        assert re.search(rf"^\| {row['name']} \| .* \| {row['cycles']:,} \| ", text, re.MULTILINE)
    again = page.read_text(), (tmp_path / "figures" / "roofline.svg").read_text()
    write_docs("roofline", tmp_path, page)
    assert again == (page.read_text(), (tmp_path / "figures" / "roofline.svg").read_text())


def test_the_page_has_a_section_and_figures_for_every_bench():
    assert BENCHES.keys() == TABLES.keys()
    for name in BENCHES:
        page = page_of(name)
        text = page.read_text()
        assert section(name).search(text)
        for figure in FIGURES.get(name, {}):
            assert f"figures/{figure}" in text
            assert (page.parent / "figures" / figure).stat().st_size < 100_000


def test_a_report_says_what_it_was_measured_with(tmp_path):
    path = reports.write("roofline", {"rows": []}, tmp_path)
    assert path == tmp_path / "roofline.json"
    report = json.loads(path.read_text())
    assert about().items() <= report.items()
    assert report["bench"] == "roofline" and report["versions"]["verilator"]
    assert reports.read("roofline", tmp_path) == report
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed"], f"bench must be one of {', '.join(BENCHES)}, not 'speed'"),
        (["roofline", "speed"], f"bench must be one of {', '.join(BENCHES)}, not 'speed'"),
        (
            ["roofline", "--preset", "huge"],
            "preset must be one of datacenter, edge, test, not 'huge'",
        ),
        (
            ["arrays", "--from-reports", "-o", "nowhere"],
            "there is no report of arrays in nowhere: run python -m bench arrays first",
        ),
        (["--model"], "argument --model: expected one argument (see --help)"),
    ],
)
def test_a_wrong_request_is_one_sentence(capsys, arguments, message):
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    assert (status, *capsys.readouterr()) == (2, "", f"python -m bench: {message}\n")


def test_a_report_can_be_shown_again(reports_of_a_small_model, tmp_path, capsys):
    reports.write("arrays", reports_of_a_small_model["arrays"], tmp_path)
    assert main(["arrays", "--from-reports", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "arrays" in shown and "multiplications" in shown


def test_dense_vectors_leave_no_channel_silent(stories260k, tmp_path):
    workload = Workload(str(stories260k), tokens=2)
    program = workload.program(
        ["mlp2"], tmp_path / "m", params=TEST, tokens=2, dense=np.random.default_rng(1)
    )
    assert program.expected.counters["silent_channels"] == 0
    for name, x in program.inputs.items():
        real = workload.program(["mlp2"], tmp_path / "r", params=TEST, tokens=2).inputs[name]
        assert np.array_equal(
            np.abs(x.astype(np.int64)).max(axis=1), np.abs(real.astype(np.int64)).max(axis=1)
        )


def test_every_bench_is_a_module():
    for name in BENCHES:
        assert (Path(area.__file__).parent / f"{name}.py").exists()
