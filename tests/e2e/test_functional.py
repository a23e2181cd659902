"""The same compiled program by golden and on the functional device: same bits, same counts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.programs.layers import build
from golden.checkpoint.checkpoint import load
from golden.model.llama import Model
from golden.model.prepare import prepare
from golden.model.spiking import SpikingLinear
from golden.numerics.fixed import to_fixed
from golden.recipe.recipe import load_recipe
from hw.contract.isa import CHANNEL_WORDS
from hw.contract.presets import PRESETS, preset
from hw.contract.regs import Error
from sim.check.activations import default_prompt, prompt_vectors, random_vectors
from sim.check.expected import expect
from sim.functional.device import Functional
from tests.compiler.models import (
    GridCheckpoint,
    RandomCheckpoint,
    hardware,
    random_exponents,
    recipe,
)

CODINGS = ("unary", "bitwise", "csd")


def random_inputs(rng, compiled, linear):
    """Return random vectors for every input region, made for its site."""
    inputs = {}
    for step in compiled.manifest["operations"]:
        if step["operation"] == "MATMUL":
            site = linear.matrix(step["matrix"]).site
            name, shape = f"{step['site']}.input", (compiled.tokens, step["channels"])
            if name not in inputs:
                inputs[name] = random_vectors(rng, *shape, site)
    return inputs


def assert_equal(linear, compiled, inputs):
    """Assert that golden and the functional device agree on everything that both know."""
    expected = expect(linear, compiled, inputs)
    seen = []
    result = Functional(seen.append).run(compiled, inputs)
    assert result.error is Error.NONE

    at = {index: o for o in seen for index in [o.index]}
    for step in compiled.manifest["operations"]:
        site = step["site"]
        rounds = [at[index] for index in step["instructions"]]
        values = expected.sites[site]
        counts = np.concatenate([r.counts for r in rounds])
        np.testing.assert_array_equal(counts, values.counts, f"counts of {site}")
        v = np.concatenate([r.thresholds for r in rounds])
        np.testing.assert_array_equal(v, values.thresholds, f"thresholds of {site}")
        if step["operation"] == "MATMUL":
            y = np.concatenate([r.accumulators for r in rounds])
            name = step["matrix"]
            np.testing.assert_array_equal(y, expected.accumulators[name], f"Y of {name}")
    for name, outputs in expected.outputs.items():
        np.testing.assert_array_equal(result.outputs[name], outputs, name)
    assert result.outputs.keys() == expected.outputs.keys()

    for name, value in expected.counters.items():
        untimed = None if name == "array_cycles" else value
        assert result.counters[name] == untimed, name
    assert_counters_add_up(compiled, result.counters, expected)


def assert_counters_add_up(compiled, counters, expected):
    """Assert the laws that tie the counters to each other and to the program."""
    params, steps = compiled.params, compiled.manifest["operations"]
    matmuls = [step for step in steps if step["operation"] == "MATMUL"]
    channels = sum(step["channels"] * len(step["instructions"]) for step in matmuls)
    assert counters["events"] + counters["silent_channels"] == channels
    segments, read, written = 0, 0, 0
    for step in steps:
        batches = np.split(
            expected.sites[step["site"]].counts,
            range(params.tokens, compiled.tokens, params.tokens),
        )
        if step["operation"] == "ENCODE":
            read += compiled.tokens * params.vector_bytes(step["channels"])
            if step["exponents"]:
                read += len(batches) * compiled.regions[step["exponents"]].bytes
            continue
        segments += step["tiles"] * sum(int(batch.any(axis=0).sum()) for batch in batches)
        words = len(CHANNEL_WORDS[step["has_bias"]])
        tiles = params.tiles(step["outputs"])
        read += len(batches) * sum(words * params.vector_bytes(outputs) for outputs in tiles)
        written += compiled.tokens * step["outputs"] * 4
    assert counters["row_segments"] == segments
    program = compiled.regions["program"].bytes
    assert counters["dram_bytes_read"] == program + read + counters["weight_bytes_read"]
    assert counters["dram_bytes_written"] == written


@pytest.fixture(scope="module")
def stories(stories260k):
    return load(stories260k)


def every_layer(checkpoint):
    layers = range(checkpoint.config.layers)
    return [f"{kind}{n}" for n in layers for kind in ("attn", "mlp")] + ["lm_head"]


@pytest.fixture(scope="module")
def stories_linears(stories):
    """Return golden's matrices by bits of a weight, quantized once for all tests."""
    return {
        bits: SpikingLinear(stories.config, stories.tensor, recipe(weight_bits=bits, clip=0.75))
        for bits in (8, 4, 2)
    }


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_layer_of_stories260k(stories, stories_linears, tmp_path, rng, name, coding, bits):
    linear = stories_linears[bits]
    compiled = build(
        stories,
        every_layer(stories),
        tmp_path / "m",
        params=preset(name),
        recipe=linear.recipe,
        coding=coding,
        tokens=7,
    )
    assert_equal(linear, compiled, random_inputs(rng, compiled, linear))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_prompt_of_stories260k(stories, tmp_path, name):
    w8 = load_recipe("w8")
    linear = SpikingLinear(stories.config, stories.tensor, w8)
    compiled = build(
        stories, every_layer(stories), tmp_path / "m", params=preset(name), recipe=w8, tokens=3
    )
    sites = [region.removesuffix(".input") for region in compiled.inputs]
    vectors = prompt_vectors(stories, linear, sites, default_prompt("stories260k"), 3)
    assert vectors.keys() == set(sites)
    assert_equal(linear, compiled, {f"{site}.input": x for site, x in vectors.items()})


RECIPES = {
    "mean": dict(rule="mean", kappa=3.0),
    "static": dict(rule="static", peak=1.5, clip=0.5),
    "dead zone": dict(dead_zone=0.75, max_count=31),
    "one spike": dict(max_count=1, clip=1 / 256),
    "everything dead": dict(dead_zone=32768.0),
    "shifts": dict(shifts=3),
    "shifts of few spikes": dict(shifts=2, max_count=7, clip=0.75),
    "static shifts": dict(rule="static", peak=1.5, shifts=1),
}


@pytest.mark.parametrize("settings", [{}, {"shifts": 3}], ids=["exponents", "shifts too"])
@pytest.mark.parametrize("coding", CODINGS)
def test_exponents_of_channels(tmp_path, rng, seed, settings, coding):
    checkpoint = RandomCheckpoint(seed)
    chosen = replace(recipe(**settings), exponents=random_exponents(checkpoint, seed))
    scaled = prepare(checkpoint, chosen)
    linear = SpikingLinear(scaled.config, scaled.tensor, chosen)
    compiled = build(
        checkpoint,
        ["attn1", "mlp0", "lm_head"],
        tmp_path / "m",
        params=replace(preset("test"), max_shift=6),
        recipe=chosen,
        coding=coding,
        tokens=9,
    )
    assert_equal(linear, compiled, random_inputs(rng, compiled, linear))


@pytest.mark.parametrize("scale_bits", [16, 8])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_grid_of_weights(tmp_path, rng, seed, name, scale_bits):
    checkpoint = GridCheckpoint(seed)
    chosen = recipe(weights="native", scale_bits=scale_bits, shifts=1, dead_zone=0.01)
    chosen = replace(chosen, exponents=random_exponents(checkpoint, seed, 2))
    scaled = prepare(checkpoint, chosen)
    linear = SpikingLinear(scaled.config, scaled.tensor, chosen, grid=scaled.grid)
    compiled = build(
        checkpoint,
        every_layer(checkpoint),
        tmp_path / "m",
        params=preset(name),
        recipe=chosen,
        tokens=5,
    )
    assert {bool(step.get("groups")) for step in compiled.manifest["operations"]} == {True, False}
    assert_equal(linear, compiled, random_inputs(rng, compiled, linear))


def test_more_shifts_than_the_hardware_has_are_refused(tmp_path, seed):
    checkpoint = RandomCheckpoint(seed)
    chosen = replace(recipe(shifts=1), exponents=random_exponents(checkpoint, seed))
    said = r"^layers.0.gate_up has shifts up to 4, but this hardware only up to 3 \(max_shift\)"
    with pytest.raises(ValueError, match=said):
        build(checkpoint, ["mlp0"], tmp_path / "m", params=preset("test"), recipe=chosen)


@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
def test_every_rule_on_a_model_with_biases(tmp_path, rng, seed, settings):
    checkpoint = RandomCheckpoint(seed)
    chosen = recipe(weight_bits=4, **settings)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    params = replace(preset("test"), tokens=3)
    compiled = build(
        checkpoint,
        ["attn1", "mlp0", "lm_head"],
        tmp_path / "m",
        params=params,
        recipe=chosen,
        tokens=10,
    )
    assert any(step.get("has_bias") for step in compiled.manifest["operations"])
    assert_equal(linear, compiled, random_inputs(rng, compiled, linear))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=hardware(),
    channels=st.integers(1, 64),
    outputs=st.integers(1, 150),
    bits=st.sampled_from([8, 4, 2]),
    coding=st.sampled_from(CODINGS),
    tokens=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_on_any_hardware(tmp_path, params, channels, outputs, bits, coding, tokens, seed):
    checkpoint = RandomCheckpoint(seed, layers=1, hidden_size=channels, ffn_size=outputs)
    chosen = recipe(weight_bits=bits)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    layers = ["gate0", "q0"]
    compiled = build(
        checkpoint,
        layers,
        tmp_path / "m",
        params=params,
        recipe=chosen,
        coding=coding,
        tokens=tokens,
    )
    rng = np.random.default_rng(seed)
    assert_equal(linear, compiled, random_inputs(rng, compiled, linear))


@pytest.mark.parametrize("rows", ["1", "40:77", "33:35", "77"])
def test_rows_are_those_of_the_whole_matrix(tmp_path, rng, seed, rows):
    checkpoint = RandomCheckpoint(seed)
    chosen = recipe()
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    options = dict(params=preset("test"), recipe=chosen)
    whole = build(checkpoint, ["lm_head"], tmp_path / "whole", **options)
    part = build(checkpoint, ["lm_head"], tmp_path / "part", rows=rows, **options)
    inputs = random_inputs(rng, part, linear)
    assert_equal(linear, part, inputs)
    first, _, end = rows.rpartition(":")
    outputs = Functional().run(whole, inputs).outputs["lm_head.output"]
    expected = outputs[:, int(first or 0) : int(end)]
    assert np.array_equal(Functional().run(part, inputs).outputs["lm_head.output"], expected)


def test_a_real_layer_of_smollm2(smollm2_135m, tmp_path):
    checkpoint, w8 = load(smollm2_135m), load_recipe("w8")
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, w8)
    compiled = build(
        checkpoint, ["attn0", "mlp0"], tmp_path / "m", params=preset("edge"), recipe=w8, tokens=5
    )
    sites = [region.removesuffix(".input") for region in compiled.inputs]
    vectors = prompt_vectors(checkpoint, linear, sites, default_prompt("smollm2-135m"), 5)
    assert_equal(linear, compiled, {f"{site}.input": x for site, x in vectors.items()})


def test_random_vectors_reach_every_corner(rng):
    site = recipe(dead_zone=0.5, max_count=31).site(None, "head", 50)
    x = random_vectors(rng, 14, 50, site)
    assert (x == 0).all(axis=1).any()
    assert {-(1 << 31), (1 << 31) - 1} <= set(x.ravel().tolist())
    near = {s * (site.dead_zone + d) for s in (1, -1) for d in (-1, 0, 1)}
    assert near <= set(x.ravel().tolist())


def test_a_prompts_vectors_are_those_of_its_last_tokens(stories):
    linear = SpikingLinear(stories.config, stories.tensor, recipe())
    ids = stories.tokenizer.encode(default_prompt("stories260k"))
    names = {"layers.1.gate_up": "layers.1.gate", "layers.3.o": "layers.3.o", "head": "lm_head"}
    reference = {}

    def recorded(site, name, x):
        reference[name] = x
        return linear(site, name, x)

    Model(stories, recorded).forward(ids)
    vectors = prompt_vectors(stories, linear, names, default_prompt("stories260k"), 2)
    assert vectors.keys() == names.keys()
    for site, name in names.items():
        assert np.array_equal(vectors[site], to_fixed(reference[name])[-2:].numpy())


@pytest.mark.parametrize("tokens", [0, 5])
def test_a_prompt_that_is_too_short_is_refused(stories, tokens):
    linear = SpikingLinear(stories.config, stories.tensor, recipe())
    with pytest.raises(ValueError) as error:
        prompt_vectors(stories, linear, ["head"], "a", tokens)
    held = len(stories.tokenizer.encode("a"))
    assert str(error.value) == (
        f"tokens must be 1 to {held}, which the prompt 'a' has, not {tokens}: choose a longer "
        "prompt or fewer tokens"
    )
