"""Boards: the area model against points it was not fitted to, the picker, and generated pages."""

from dataclasses import replace

import pytest

from compiler.named import NAMED
from compiler.plan.area import VARIED, estimate, left_out_error, points
from compiler.plan.board import Value, boards
from compiler.plan.fit import fit, misfit
from compiler.plan.forecast import forecast
from compiler.plan.markdown import DOCS
from compiler.plan.pages import PAGES
from compiler.plan.reports import predicted_cycles
from golden.recipe import load_recipe
from hw.presets import preset

SMOLLM = NAMED["smollm2-135m"].config
W8 = load_recipe("w8")
# family, dimensions, block RAMs: synthesized up to the mapping of memories, in no fit.
UNFITTED = (
    ("ecp5", (1, 64, 32, 128, 8192), 191),
    ("xc7", (1, 64, 32, 128, 8192), 63),
    ("ecp5", (2, 64, 16, 128, 8192), 73),
    ("xc7", (2, 64, 16, 128, 8192), 57),
    ("ecp5", (2, 64, 32, 128, 2048), 265),
    ("xc7", (2, 64, 32, 128, 2048), 49),
    ("ecp5", (2, 64, 32, 128, 16384), 327),
    ("xc7", (2, 64, 32, 128, 16384), 91),
    ("ecp5", (2, 128, 32, 256, 16384), 598),
    ("xc7", (2, 128, 32, 256, 16384), 130),
)


def test_every_value_of_a_board_has_a_source():
    assert len(boards()) == 5
    for board in boards().values():
        assert all(value.value > 0 and value.source for value in board.values.values())


@pytest.mark.parametrize(("family", "dimensions", "block_rams"), UNFITTED)
def test_block_rams_of_accelerators_that_were_not_fitted(family, dimensions, block_rams):
    assert all(
        tuple(point.dimensions.values()) != dimensions
        for point in points()
        if point.family == family
    )
    params = replace(preset("edge"), **dict(zip(VARIED, dimensions, strict=True)))
    assert estimate(params, family).block_rams == pytest.approx(block_rams, abs=6, rel=0.1)


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_points_left_out_are_predicted(family):
    assert left_out_error(family, "luts") < 0.06
    assert left_out_error(family, "dsps") < 0.02


def test_edge_does_not_fit_an_ecp5_85f_and_why():
    lack = misfit(estimate(preset("edge"), "ecp5"), boards()["orangecrab-85f"])
    assert "172 of 156 DSPs" in lack and "of 208 block RAMs" in lack


def test_what_is_picked_fits_and_is_forecast():
    board = boards()["orangecrab-85f"]
    choice = fit(board, SMOLLM, W8, 127)
    assert misfit(estimate(choice.params, "ecp5"), board) is None
    found = forecast(board, choice, SMOLLM, W8, 127, 128)
    assert found.bound == "memory"
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


def test_none_fits_a_small_board_and_a_large_model():
    board = boards()["orangecrab-85f"]
    small = replace(board, luts=Value(value=5000, source="a test"))
    choice = fit(small, SMOLLM, W8, 127)
    assert choice.params is None
    assert choice.reason.startswith("no array fits OrangeCrab 85F: the smallest needs ")
    assert "of 4,000 LUTs" in choice.reason
    board = boards()["arty-a7-100t"]
    choice = fit(board, NAMED["sdllm-7b"].config, load_recipe("w4"), 127)
    assert choice.params is None
    assert choice.reason.startswith("sdllm-7b needs ") and "268,435,456" in choice.reason
    with pytest.raises(ValueError, match="^sdllm-7b needs "):
        forecast(board, choice, NAMED["sdllm-7b"].config, load_recipe("w4"), 127, 128)


@pytest.mark.parametrize(("position", "cycles"), [(128, 8_295_132), (1023, 9_339_220)])
def test_cycles_are_those_of_the_rtl_within_two_percent(position, cycles):
    got = predicted_cycles(SMOLLM, W8, preset("edge"), position)
    assert got == pytest.approx(cycles, rel=0.02)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name):
    assert (DOCS / name).read_text() == PAGES[name](), "run python -m compiler.plan.pages"
