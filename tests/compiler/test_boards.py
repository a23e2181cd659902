"""Boards: the area model against points it was not fitted to, the picker, and generated pages."""

from dataclasses import replace

import pytest

from compiler.boards.area import VARIED, estimate, left_out_error, points, with_dimensions
from compiler.boards.board import Value, boards
from compiler.boards.fit import fit, memory_bytes, misfit
from compiler.boards.forecast import forecast
from compiler.boards.pick import pick
from compiler.boards.report import board_row, predicted_cycles
from compiler.models.known import KNOWN_MODELS
from compiler.pages.__main__ import PAGES
from compiler.pages.markdown import DOCS
from compiler.predict.costs import costs
from compiler.predict.cycles import predict
from compiler.programs.plan import make_plan
from golden.recipe.recipe import load_recipe
from hw.contract.boards import BOARDS
from hw.contract.presets import preset

SMOLLM = KNOWN_MODELS["smollm2-135m"].config
W8 = load_recipe("w8")
# family, dimensions, block RAMs: synthesized up to the mapping of memories, in no fit.
UNFITTED = (
    ("ecp5", (1, 64, 32, 128, 8192), 144),
    ("xc7", (1, 64, 32, 128, 8192), 65),
    ("ecp5", (2, 64, 16, 128, 8192), 77),
    ("xc7", (2, 64, 16, 128, 8192), 59),
    ("ecp5", (2, 64, 32, 128, 16384), 226),
    ("xc7", (2, 64, 32, 128, 16384), 93),
)


def test_every_value_of_a_board_has_a_source():
    assert len(boards()) == 6
    for board in boards().values():
        assert all(value.value > 0 and value.source for value in board.values.values())


def test_boards_have_hardware_that_stands_for_them():
    assert BOARDS.keys() == boards().keys()
    families = {"ecp5": "ecp5", "xc7": "xilinx"}
    for key, board in boards().items():
        of, device = BOARDS[key], board.device.split("-")[0].lower()
        assert of.name == board.name and of.family == families[board.family]
        assert of.part.lower().startswith(device)
        assert of.params.axi_data_width <= board.port_width.value
        assert of.clock_mhz == board.clock_mhz.value


@pytest.mark.parametrize(("family", "dimensions", "block_rams"), UNFITTED)
def test_block_rams_of_accelerators_that_were_not_fitted(family, dimensions, block_rams):
    assert all(
        tuple(point.dimensions.values()) != dimensions
        for point in points()
        if point.family == family
    )
    params = with_dimensions(**dict(zip(VARIED, dimensions, strict=True)))
    assert estimate(params, family).block_rams == pytest.approx(block_rams, abs=6, rel=0.1)


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_points_left_out_are_predicted(family):
    assert left_out_error(family, "luts") < 0.06
    assert left_out_error(family, "dsps") < 0.02


def test_edge_fits_an_ecp5_85f_and_twice_its_lanes_do_not():
    board = boards()["orangecrab-85f"]
    assert misfit(estimate(preset("edge"), "ecp5"), board) is None
    lack = misfit(estimate(replace(preset("edge"), lanes=128), "ecp5"), board)
    assert lack is not None and "of 208 block RAMs" in lack


def test_what_is_picked_fits_and_is_forecast():
    board = boards()["orangecrab-85f"]
    choice = fit(board, SMOLLM, W8, 127)
    assert misfit(estimate(choice.params, "ecp5"), board) is None
    found = forecast(board, choice, SMOLLM, W8, 127, 128)
    assert found.bound == "DRAM"
    peak = board.gigabytes_per_second.value * 1e9 / 106e6  # bytes of the layers alone
    assert 0 < found.tokens_per_second < peak
    assert 128 / found.tokens_per_second > found.prompt_seconds > found.batched_seconds


def test_a_faster_memory_makes_faster_tokens_until_the_array_binds():
    board = boards()["kv260"]
    slow = replace(board, gigabytes_per_second=Value(value=1.0, source="a test"))
    choices = [fit(each, SMOLLM, W8, 127) for each in (slow, board)]
    rates = [
        forecast(each, choice, SMOLLM, W8, 127, 128).tokens_per_second
        for each, choice in zip((slow, board), choices, strict=True)
    ]
    assert rates[0] < 1.0e9 * 0.85 / 106e6 < rates[1]


@pytest.mark.parametrize(
    ("key", "gigabytes", "bound"),
    [
        ("orangecrab-85f", 1.6, "memory port"),
        ("orangecrab-85f", 0.3, "DRAM"),
        ("kv260", 19.2, None),
    ],
)
def test_port_and_dram_are_told_apart(key, gigabytes, bound):
    board = boards()[key]
    board = replace(board, gigabytes_per_second=Value(value=gigabytes, source="a test"))
    choice = fit(board, SMOLLM, W8, 127)
    row = board_row(board, choice, SMOLLM, W8, 127, 128, None)
    port, dram = (row[f"{name}_gigabytes_per_second"] for name in ("port", "dram"))
    width = choice.params.axi_data_width // 8
    assert port == pytest.approx(choice.cores * width * board.clock_mhz.value / 1e3)
    assert dram == pytest.approx(gigabytes * board.efficiency.value)
    assert row["bounds"]["DRAM"] / row["bounds"]["memory port"] == pytest.approx(port / dram)
    assert row["bound"] == bound or bound is None
    slower = max(row["bounds"].values())
    assert row["cycles"] >= slower


def test_a_slow_memory_slows_what_is_read_and_no_more():
    plan = make_plan(SMOLLM, params=preset("edge"), recipe=W8, context=128)
    token = costs(plan.program, plan.params, plan.activities(127), 127)
    whole, half = (predict(token, plan.params, words_a_cycle=words) for words in (1.0, 0.5))
    assert half.words == whole.words
    assert whole.words < half.cycles - whole.cycles + 0.05 * whole.cycles
    assert 2 * whole.words <= half.cycles <= 2 * whole.cycles


def test_what_is_picked_for_a_build_has_the_board_s_memory():
    picked = pick("arty-a7-100t", SMOLLM, W8)
    capacity = int(boards()["arty-a7-100t"].capacity_bytes.value)
    assert (picked.position, picked.prompt, picked.memory) == (1023, 1024, capacity)
    needed = [memory_bytes(SMOLLM, W8, picked.params, n) for n in (picked.context, 2048)]
    assert picked.context == 1024 and needed[0] <= capacity < needed[1]
    whole = pick("kv260", SMOLLM, W8)
    assert whole.context == whole.params.max_channels == 2048
    long = pick("kv260", SMOLLM, W8, context=8192)
    assert (long.context, long.params.max_channels) == (8192, 8192)


def test_none_fits_a_small_board_and_a_large_model():
    board = boards()["orangecrab-85f"]
    small = replace(board, luts=Value(value=5000, source="a test"))
    choice = fit(small, SMOLLM, W8, 127)
    assert choice.params is None
    assert choice.reason.startswith("no array fits OrangeCrab 85F: the smallest needs ")
    assert "of 4,000 LUTs" in choice.reason
    board = boards()["arty-a7-100t"]
    choice = fit(board, KNOWN_MODELS["sdllm-7b"].config, load_recipe("w4"), 127)
    assert choice.params is None
    assert choice.reason.startswith("sdllm-7b needs ") and "268,435,456" in choice.reason
    with pytest.raises(ValueError, match="^sdllm-7b needs "):
        forecast(board, choice, KNOWN_MODELS["sdllm-7b"].config, load_recipe("w4"), 127, 128)


@pytest.mark.parametrize(("position", "cycles"), [(128, 8_295_132), (1023, 9_339_220)])
def test_cycles_are_those_of_the_rtl_within_two_percent(position, cycles):
    got = predicted_cycles(SMOLLM, W8, preset("edge"), position)
    assert got == pytest.approx(cycles, rel=0.02)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name):
    assert (DOCS / name).read_text() == PAGES[name](), "run python -m compiler.pages"
