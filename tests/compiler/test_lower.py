"""Names of layers, and what becomes of them."""

import pytest

from compiler.passes.lower import lower, parse_rows
from golden.recipe.recipe import Recipe
from tests.compiler.models import RandomCheckpoint, recipe

CONFIG = RandomCheckpoint(0).config


def shape_of(stages):
    """Return each stage's site with its matrices."""
    return {stage.name: [matrix.name for matrix in stage.matrices] for stage in stages}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (
            ["mlp0"],
            {
                "layers.0.gate_up": ["layers.0.gate", "layers.0.up"],
                "layers.0.down": ["layers.0.down"],
            },
        ),
        (
            ["attn1"],
            {
                "layers.1.qkv": ["layers.1.q", "layers.1.k", "layers.1.v"],
                "layers.1.o": ["layers.1.o"],
            },
        ),
        (["lm_head", "o0"], {"head": ["lm_head"], "layers.0.o": ["layers.0.o"]}),
        # What shares a site shares its ENCODE, even if asked for apart.
        (["up1", "gate1"], {"layers.1.gate_up": ["layers.1.up", "layers.1.gate"]}),
    ],
)
def test_layers_become_stages(layers, expected):
    assert shape_of(lower(CONFIG, layers, recipe())) == expected


def test_shapes_widths_and_biases_come_from_model_and_recipe():
    stages = lower(CONFIG, ["attn0", "lm_head"], recipe(weight_bits=4, max_count=31, clip=0.5))
    matrices = {m.name: m for stage in stages for m in stage.matrices}
    assert {name: (m.outputs, m.channels, m.has_bias) for name, m in matrices.items()} == {
        "layers.0.q": (36, 36, True),
        "layers.0.k": (12, 36, True),
        "layers.0.v": (12, 36, True),
        "layers.0.o": (36, 36, False),
        "lm_head": (77, 36, False),
    }
    assert {m.weight_width for m in matrices.values()} == {4}
    assert {(s.site.max_count, s.site.multiplier, s.channels) for s in stages} == {(31, 128, 36)}


def test_rows_are_a_run_of_one_matrix():
    [stage] = lower(CONFIG, ["lm_head"], recipe(), rows="10:70")
    assert (stage.matrices[0].first_row, stage.matrices[0].outputs) == (10, 60)
    assert parse_rows("77", 77) == (0, 77)


@pytest.mark.parametrize("text", ["0", "78", "5:5", "9:5", "70:78", "-1", "1:2:3", "a", "", "1."])
def test_rows_out_of_range_are_refused(text):
    with pytest.raises(ValueError) as error:
        lower(CONFIG, ["lm_head"], recipe(), rows=text)
    assert str(error.value) == (
        f"rows must be A:B with 0 <= A < B <= 77, or a count up to that, not {text!r}"
    )


KINDS = "mlpN, attnN, qN, kN, vN, oN, gateN, upN, downN"


@pytest.mark.parametrize(
    ("layers", "rows", "message"),
    [
        *(
            (
                [name],
                None,
                f"layer must be one of {KINDS} with N from 0 to 1, or lm_head, not {name!r}",
            )
            for name in ("mlp2", "mlp", "ffn0", "mlp00", "mlp-1", "lm_head0", "qkv0", "0", "mlp0 ")
        ),
        (
            ["mlp0", "up0"],
            None,
            "layers must name each matrix once, but layers.0.up is named twice",
        ),
        ([], None, "layers must name at least one layer, such as mlp0"),
        (["mlp0"], "4", "rows needs a single matrix, such as down0, not mlp0"),
    ],
)
def test_what_does_not_exist_is_refused(layers, rows, message):
    with pytest.raises(ValueError) as error:
        lower(CONFIG, layers, recipe(), rows)
    assert str(error.value) == message


def test_a_recipe_for_more_layers_is_refused():
    settings = recipe().default
    with pytest.raises(ValueError, match="names layer 2, but the model's layers are 0 to 1$"):
        lower(CONFIG, ["mlp0"], Recipe("deep", settings, {}, {(2, "down"): settings}))


def test_a_recipe_that_hardware_cannot_follow_is_refused():
    with pytest.raises(ValueError, match="dead_quantile, which only the golden model can follow"):
        lower(CONFIG, ["mlp0"], recipe(dead_quantile=0.5))
