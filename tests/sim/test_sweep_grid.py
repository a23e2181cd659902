"""Grids, and the rows that no other beats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.contract.presets import preset
from sim.sweep.grid import AXES, configurations, parse
from sim.sweep.pareto import front, fronts

TEST = preset("test")
LIKE = "an axis of the grid must be like lanes=32,64, that is NAME=VALUE,…, not"


def test_every_combination_in_order():
    axes = parse(["lanes=8,16", "coding=csd,unary", "skip_silent=true"])
    assert axes == {"lanes": [8, 16], "coding": ["csd", "unary"], "skip_silent": [True]}
    found = configurations(TEST, axes, "bitwise", "w4")
    assert [(p.hardware["lanes"], p.coding) for p in found] == [
        (8, "csd"), (8, "unary"), (16, "csd"), (16, "unary")
    ]  # fmt: skip
    assert {p.recipe for p in found} == {"w4"}
    assert found[0].params() == TEST
    assert found[2].params().lanes == 16


def test_a_value_given_twice_counts_once():
    assert parse(["lanes=8, 16,8"]) == {"lanes": [8, 16]}


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        (["lanes"], f"{LIKE} 'lanes'"),
        (["lanes=8,,16"], f"{LIKE} 'lanes=8,,16'"),
        (["rows=8"], f"an axis of the grid must be one of {', '.join(AXES)}, not 'rows'"),
        (["lanes=8", "lanes=16"], "lanes is in the grid twice: give all its values at once"),
        (["lanes=few"], "lanes must be a whole number, not 'few'"),
        (["skip_silent=1"], "skip_silent must be true or false, not '1'"),
        ([], "the grid is empty: give it an axis, such as lanes=32,64"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(axes, sentence):
    with pytest.raises(ValueError) as refused:
        parse(axes)
    assert str(refused.value) == sentence


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_a_front_is_what_nothing_beats(costs):
    def beats(a, b):
        return a != b and a[0] <= b[0] and a[1] <= b[1]

    want = [i for i, c in enumerate(costs) if not any(beats(other, c) for other in costs)]
    got = front(costs)
    assert sorted(got) == want
    assert [costs[i] for i in got] == sorted(costs[i] for i in got)


def test_each_recipe_has_a_front_and_rows_without_figures_are_on_none():
    rows = [
        {"recipe": "w8", "x": 1.0, "y": 2.0},
        {"recipe": "w4", "x": 0.5, "y": 1.0},  # of another recipe: beats nothing
        {"recipe": "w8", "x": 2.0, "y": 3.0},
        {"recipe": "w8", "x": None, "y": 0.0},
        {"recipe": "w2"},
        {"recipe": "w8", "x": 3.0, "y": np.float64(1.0)},
    ]
    assert fronts(rows, ("x", "y")) == {"w8": [0, 5], "w4": [1]}
