"""Layers of a trained model through the RTL, bit for bit."""

import pytest

from compiler.programs.layers import build
from golden.checkpoint.checkpoint import load
from golden.model.spiking import SpikingLinear
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from sim.check.activations import default_prompt, prompt_vectors
from sim.device import Timing
from sim.rtl.device import Run
from tests.compiler.models import recipe
from tests.e2e.rtl_checks import CODINGS, Trial, random_inputs, verify


@pytest.fixture(scope="module")
def stories(stories260k):
    return load(stories260k)


def every_layer(checkpoint):
    layers = range(checkpoint.config.layers)
    return [f"{kind}{n}" for n in layers for kind in ("attn", "mlp")] + ["lm_head"]


@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_every_layer_of_stories260k_for_a_prompt(rtl, stories, tmp_path, seed, stalls):
    w8 = load_recipe("w8")
    linear = SpikingLinear(stories.config, stories.tensor, w8)
    compiled = build(
        stories,
        every_layer(stories),
        tmp_path / "m",
        params=preset("test"),
        recipe=w8,
        tokens=3,
    )
    sites = [region.removesuffix(".input") for region in compiled.inputs]
    vectors = prompt_vectors(stories, linear, sites, default_prompt("stories260k"), 3)
    inputs = {f"{site}.input": x for site, x in vectors.items()}
    timing = Timing(stalls=stalls, seed=seed)
    run = Run(compiled=compiled, inputs=inputs, timing=timing)
    verify(rtl, [Trial("stories260k", linear, run)])


@pytest.mark.parametrize("coding", CODINGS)
def test_every_width_in_every_coding(rtl, stories, tmp_path, rng, seed, coding):
    trials = []
    for n, bits in enumerate((8, 4, 2)):
        chosen = recipe(weight_bits=bits, max_count=31 if coding == "unary" else 127, clip=0.75)
        linear = SpikingLinear(stories.config, stories.tensor, chosen)
        compiled = build(
            stories,
            [f"attn{n}", f"mlp{n + 1}", "lm_head"],
            tmp_path / f"{bits}",
            params=preset("test"),
            recipe=chosen,
            coding=coding,
            tokens=2,
        )
        run = Run(
            compiled=compiled,
            inputs=random_inputs(rng, compiled, linear),
            timing=Timing(stalls=0.3, seed=seed),
        )
        trials.append(Trial(f"{coding}, {bits} bits", linear, run))
    verify(rtl, trials)
