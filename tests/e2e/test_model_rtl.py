"""A whole model in RTL: golden's tokens, and all of memory as the functional device has it."""

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
from sim.device import Registers, Timing
from sim.functional.device import Functional
from sim.rtl.device import Rtl
from tests.compiler.models import GridCheckpoint, RandomCheckpoint, random_exponents, recipe

PARAMS = preset("test")
AUDITED = ("events", "silent_channels", "synaptic_operations", "row_segments", "weight_bytes_read")


def on_both(compiled, ids, registers, timing):
    """Run the program on both devices; return the tokens in memory, the same on both."""
    memories = []
    finished = []
    for device in (Functional(), Rtl(timing=timing)):
        memory = compiled.image({})
        compiled.token_words(memory)[: len(ids)] = ids
        end = device.execute(memory, compiled.program_address, PARAMS, registers, lambda *_: None)
        memories.append(memory)
        finished.append(end)
    want, got = finished
    assert (got.error, got.position) == (want.error, want.position)
    for name in (*AUDITED, "dram_bytes_written"):
        assert got.counters[name] == want.counters[name], name
    differing = np.flatnonzero(memories[0] != memories[1])
    assert not differing.size, compiled.place_of(int(differing[0]))
    return compiled.token_words(memories[1]).tolist(), got


def _story(path, tmp_path, tokens, timing):
    checkpoint, chosen = load(path), load_recipe("w8")
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen)
    ids = checkpoint.tokenizer.encode("Once upon a time")
    registers = Registers(prompt_end=len(ids), end_position=len(ids) + tokens - 1)
    words, finished = on_both(compiled, ids, registers, timing)
    assert finished.error is Error.NONE
    made = words[len(ids) : len(ids) + tokens]
    assert made == IntegerModel(checkpoint, chosen).generate(ids, tokens)
    assert checkpoint.tokenizer.decode([*ids, *made]).startswith("Once upon a time, there was a")


def test_stories_are_told_under_stalls(stories260k, seed, tmp_path):
    _story(stories260k, tmp_path, 16, Timing(stalls=0.3, seed=seed))


@pytest.mark.full
@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_stories_are_told_at_length(stories260k, stalls, seed, tmp_path):
    _story(stories260k, tmp_path, 64, Timing(stalls=stalls, seed=seed))


@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_a_model_on_the_grid_of_its_file(stalls, seed, rng, tmp_path):
    checkpoint = GridCheckpoint(seed)
    chosen = recipe(weights="native", scale_bits=int(rng.choice([8, 16])), shifts=3)
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen, context=20)
    ids = rng.integers(0, checkpoint.config.vocab_size, 3).tolist()
    registers = Registers(prompt_end=3, end_position=8)
    words, finished = on_both(compiled, ids, registers, Timing(stalls=stalls, seed=seed))
    assert (finished.error, finished.position) == (Error.NONE, 8)
    assert words[3:9] == IntegerModel(checkpoint, chosen).generate(ids, 6)


@pytest.mark.parametrize(
    "changes",
    [
        {},  # biases, three queries a key
        dict(qk_norm=True, qkv_bias=False),
        dict(rope_interleaved=True, heads=4, kv_heads=4, head_dim=10, qkv_bias=False, layers=1),
        dict(heads=5, kv_heads=1, head_dim=32, hidden_size=50, qkv_bias=False),
    ],
)
def test_odd_models(changes, seed, rng, tmp_path):
    checkpoint = RandomCheckpoint(seed, **changes)
    chosen = replace(recipe(shifts=1), exponents=random_exponents(checkpoint, seed, 2))
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen, context=50)
    ids = rng.integers(0, checkpoint.config.vocab_size, 5).tolist()
    registers = Registers(prompt_end=5, end_position=40)  # beyond a tile of keys
    timing = Timing(latency=int(rng.integers(1, 100)), stalls=float(rng.choice([0, 0.5])))
    words, finished = on_both(compiled, ids, registers, timing)
    assert (finished.error, finished.position) == (Error.NONE, 40)
    assert words[5:41] == IntegerModel(prepare(checkpoint, chosen), chosen).generate(ids, 36)


@pytest.mark.parametrize("coding", ["unary", "bitwise"])
def test_recipes_that_differ_by_layer(coding, seed, rng, tmp_path):
    chosen = Recipe(
        "mixed",
        SiteSettings(max_count=15),
        {"down": SiteSettings(rule="mean", kappa=3.0), "head": SiteSettings(weight_bits=4)},
        {
            (1, "qkv"): SiteSettings(weight_bits=4, max_count=7),
            (1, "o"): SiteSettings(weight_bits=2, dead_zone=0.01),
            (0, "down"): SiteSettings(rule="static", peak=3.0),
            (1, "probabilities"): SiteSettings(max_count=31, dead_zone=0.001),
        },
    )
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=PARAMS, recipe=chosen, coding=coding, context=30
    )
    registers = Registers(prompt_end=3, end_position=12)
    on_both(compiled, [1, 2, 3], registers, Timing(seed=seed))


def test_a_run_ends_where_the_host_says(seed, tmp_path):
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(checkpoint, tmp_path / "m", params=PARAMS, recipe=recipe(), context=30)
    plain = Registers(prompt_end=2, end_position=9)
    words, _ = on_both(compiled, [3, 4], plain, Timing())
    stop = words[5]
    stops_at = next(at for at in range(2, 10) if words[at] == stop)
    stopped = Registers(prompt_end=2, end_position=9, stop_token=stop)
    _, finished = on_both(compiled, [3, 4], stopped, Timing())
    assert (finished.error, finished.position) == (Error.NONE, stops_at)
    nothing = Registers(first_position=4, prompt_end=2, end_position=4)
    _, finished = on_both(compiled, [3, 4], nothing, Timing())
    assert (finished.error, finished.position) == (Error.NONE, 4)
    beyond = checkpoint.config.vocab_size
    _, finished = on_both(compiled, [3, beyond], plain, Timing())
    assert (finished.error, finished.position) == (Error.BAD_TOKEN, 1)
