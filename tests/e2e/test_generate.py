"""A whole model on the functional device makes golden's tokens, and golden's every vector."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.recipe.recipe import Recipe, load_recipe
from golden.recipe.settings import SiteSettings
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.device import Registers
from sim.functional.device import Functional
from tests.compiler.models import GridCheckpoint, RandomCheckpoint, random_exponents, recipe

PARAMS = preset("test")


def generate(compiled, ids, tokens):
    """Return the tokens that follow `ids`, and memory afterwards."""
    memory = compiled.image({})
    words = compiled.token_words(memory)
    words[: len(ids)] = ids
    finished = Functional().execute(
        memory,
        compiled.program_address,
        compiled.params,
        Registers(prompt_end=len(ids), end_position=len(ids) + tokens - 1),
    )
    assert finished.error is Error.NONE
    assert finished.position == len(ids) + tokens - 1
    return words[len(ids) : len(ids) + tokens].tolist(), memory


def vector(compiled, memory, name):
    region = compiled.regions[name]
    return memory[region.address : region.address + 4 * region.channels].view("<i4").tolist()


def test_stories_tell_what_golden_tells(stories260k, tmp_path):
    checkpoint, chosen = load(stories260k), load_recipe("w8")
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen)
    ids = checkpoint.tokenizer.encode("Once upon a time")
    made, _ = generate(compiled, ids, 64)  # beyond two tiles of keys
    assert made == IntegerModel(checkpoint, chosen).generate(ids, 64)
    text = checkpoint.tokenizer.decode([*ids, *made])
    assert text.startswith("Once upon a time, there was a little girl named Lily.")


SHAPES = {  # changes of the model, and of the hardware
    "biases, three queries a key": ({}, {}),
    "norms of queries and keys": (dict(qk_norm=True, qkv_bias=False), {"tokens": 4}),
    "both, one layer": (dict(qk_norm=True, layers=1), {}),
    "neighbouring pairs, a key for every query": (
        dict(rope_interleaved=True, heads=4, kv_heads=4, head_dim=10, qkv_bias=False),
        {"tokens": 1},
    ),
    "one key for all": (
        dict(heads=5, kv_heads=1, head_dim=16, hidden_size=50, qkv_bias=False),
        {"axi_data_width": 128, "banks": 8},
    ),
    "heads as wide as a tile": (dict(heads=2, kv_heads=1, head_dim=32, qkv_bias=False), {}),
}


@pytest.mark.parametrize("shifts", [0, 1, 3])
@pytest.mark.parametrize(("changes", "hardware"), SHAPES.values(), ids=SHAPES)
def test_odd_models_make_golden_s_vectors(changes, hardware, shifts, seed, rng, tmp_path):
    """With exponents where there are few shifts, none where there are many."""
    checkpoint = RandomCheckpoint(seed, **changes)
    chosen = recipe(shifts=shifts)
    if shifts < 3:
        exponents = random_exponents(checkpoint, seed, 3 - shifts)
        chosen = replace(chosen, exponents=exponents)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=replace(PARAMS, **hardware), recipe=chosen, context=35
    )
    ids = rng.integers(0, checkpoint.config.vocab_size, 5).tolist()
    made, memory = generate(compiled, ids, 30)
    seen = {}
    model = IntegerModel(
        prepare(checkpoint, chosen), chosen, observe=lambda name, x: seen.__setitem__(name, x)
    )
    assert made == model.generate(ids, 30)
    # What the last position left behind, of the last layer.
    last = f"layers.{checkpoint.config.layers - 1}"
    names = {
        "x": f"{last}.residual",
        "act": f"{last}.act",
        "v": f"{last}.v",
        "gate": f"{last}.gate",
    }
    names |= {"attention": f"{last}.attention", "logits": "logits"}
    for name, golden in names.items():
        assert vector(compiled, memory, name) == seen[golden][-1].tolist(), name


@pytest.mark.parametrize("changes", [{}, dict(rope_interleaved=True, qkv_bias=False)])
def test_a_model_on_the_grid_of_its_file(changes, seed, rng, tmp_path):
    """Rows of q and k that are put in another order take their groups' scales with them."""
    checkpoint = GridCheckpoint(seed, **changes)
    chosen = recipe(weights="native", shifts=1)
    chosen = replace(chosen, exponents=random_exponents(checkpoint, seed, 2))
    params = replace(PARAMS, tokens=3, banks=8)
    compiled = build_model(checkpoint, tmp_path / "m", params=params, recipe=chosen, context=30)
    ids = rng.integers(0, checkpoint.config.vocab_size, 3).tolist()
    made, _ = generate(compiled, ids, 20)
    assert made == IntegerModel(prepare(checkpoint, chosen), chosen).generate(ids, 20)


@pytest.mark.parametrize("coding", ["unary", "bitwise", "csd"])
def test_recipes_that_differ_by_site_and_layer(coding, seed, rng, tmp_path):
    chosen = Recipe(
        "mixed",
        SiteSettings(max_count=15),
        {"down": SiteSettings(rule="mean", kappa=3.0), "head": SiteSettings(weight_bits=4)},
        {
            (1, "qkv"): SiteSettings(weight_bits=4, max_count=15),
            (0, "down"): SiteSettings(rule="static", peak=3.0),
            (1, "query"): SiteSettings(max_count=31),
            (0, "probabilities"): SiteSettings(clip=0.5, shifts=2),
            (1, "o"): SiteSettings(weight_bits=2, dead_zone=0.01, shifts=3),
            (0, "query"): SiteSettings(shifts=1),
        },
    )
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen, coding=coding, context=30
    )
    ids = rng.integers(0, checkpoint.config.vocab_size, 3).tolist()
    made, _ = generate(compiled, ids, 20)
    assert made == IntegerModel(checkpoint, chosen).generate(ids, 20)


def test_a_text_goes_on_where_it_ended(seed, rng, tmp_path):
    """A second run from a later position, on the memory of the first, is one long run."""
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=recipe())
    ids = rng.integers(0, checkpoint.config.vocab_size, 4).tolist()
    want, whole = generate(compiled, ids, 30)
    _, memory = generate(compiled, ids, 11)
    finished = Functional().execute(
        memory,
        compiled.program_address,
        compiled.params,
        Registers(first_position=14, prompt_end=4, end_position=33),
    )
    assert (finished.error, finished.position) == (Error.NONE, 33)
    assert compiled.token_words(memory)[4:34].tolist() == want
    assert np.array_equal(memory, whole)
