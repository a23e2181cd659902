"""The balance of array and memory: the estimate of the steps, and what is said of a bad one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compiler.predict.balance import Balance, balance, findings, firing_steps
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import Site, fire, threshold
from hw.contract.presets import preset
from tests.compiler.models import SITE, compiled, one_matrix

EDGE, TEST = preset("edge"), preset("test")
CODINGS = ("unary", "bitwise", "csd")
SITES = {
    "absmax": SITE,
    "clipped": replace(SITE, multiplier=64),
    "few counts": replace(SITE, max_count=7, divisor=7),
    "mean": replace(SITE, rule="mean", divisor=3 * 500),
}


def drawn_steps(rng, site, coding, tokens, skip_silent):
    """Return the mean steps of a channel that is fetched, over many random vectors."""
    channels, batches = 500, 40
    x = rng.exponential(1 << 20, (batches * tokens, channels)).astype(np.int32)
    x = torch.from_numpy(x * rng.choice([-1, 1], x.shape).astype(np.int32))
    counts = fire(x, threshold(x, site), site)
    fires = encode(counts, coding, time_steps_for(site.max_count, coding)).ne(0)
    steps = fires.reshape(-1, batches, tokens, channels).any(dim=2).sum(dim=0)  # (batches, K)
    steps = steps.double()
    return float(steps[steps > 0].mean() if skip_silent else steps.clamp(min=1).mean())


@pytest.mark.parametrize("skip_silent", [True, False])
@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_the_estimate_is_the_mean_of_what_it_assumes(rng, site, coding, tokens, skip_silent):
    params = replace(EDGE, skip_silent=skip_silent)
    estimate = firing_steps(site, 500, params, coding, tokens)
    # The peak of a vector varies, and its threshold with it; the estimate takes the mean peak.
    assert estimate == pytest.approx(drawn_steps(rng, site, coding, tokens, skip_silent), rel=0.1)


@pytest.mark.parametrize("coding", CODINGS)
def test_one_spike_is_one_step(coding):
    site = replace(SITE, max_count=1, divisor=1)
    assert firing_steps(site, 100, EDGE, coding, 1) == pytest.approx(1)


def test_a_mac_array_spends_any_count_in_one_step():
    assert firing_steps(SITE, 100, replace(EDGE, array="mac"), "unary", 2) == 1


def of(tmp_path, rng, params, coding="csd", tokens=1, weight_width=8):
    """Return the only balance of a program of one matrix."""
    stages = one_matrix(100, 64, weight_width)
    (entry,) = balance(compiled(tmp_path / "m", stages, params, rng, coding=coding, tokens=tokens))
    return entry


def test_a_balanced_array_is_left_in_peace(tmp_path, rng):
    entry = of(tmp_path, rng, EDGE)
    assert entry.memory_cycles == 4
    assert 2 < entry.array_cycles < 4
    assert entry.finding is None


def test_too_few_lanes_are_said_to_be_too_few(tmp_path, rng):
    entry = of(tmp_path, rng, TEST)
    steps = f"{firing_steps(SITE, 64, TEST, 'csd', 1):.1f}"
    assert entry.finding == (
        "w: memory waits for the array: a beat of weights takes memory 1 and the array "
        f"about {steps} cycles (8-bit weights, csd, 1 token); choose more lanes or fewer steps"
    )


def test_an_idle_array_is_said_to_be_idle(tmp_path, rng):
    entry = of(tmp_path, rng, replace(EDGE, array="mac"), tokens=5)
    assert entry.finding == (
        "w: the array idles 75% of the time: a beat of weights takes memory 4 and the array "
        "about 1.0 cycles (8-bit weights, mac, 2 tokens); choose fewer lanes or more tokens"
    )


def test_a_memory_that_delivers_less_is_waited_for(tmp_path, rng):
    made = compiled(tmp_path / "m", one_matrix(100, 64, 8), TEST, rng)
    (whole,), (half,) = balance(made), balance(made, 0.5)
    assert (whole.memory_cycles, half.memory_cycles) == (1, 2)


def test_unary_costs_the_longest_train(tmp_path, rng):
    entry = of(tmp_path, rng, EDGE, coding="unary")
    assert entry.array_cycles > 10
    assert "memory waits for the array" in entry.finding


def test_a_beat_may_be_a_part_of_a_word(tmp_path, rng):
    assert of(tmp_path, rng, TEST, weight_width=2).memory_cycles == 0.25


def test_matrices_alike_are_told_once(tmp_path, rng):
    (stage,) = one_matrix(100, 64)
    (matrix,) = stage.matrices
    twins = tuple(replace(matrix, name=name) for name in ("w", "twin"))
    other = replace(matrix, name="other", weight_width=4)
    stages = [replace(stage, matrices=(*twins, other))]
    entries = balance(compiled(tmp_path / "m", stages, TEST, rng))
    assert [entry.matrices for entry in entries] == [("w", "twin"), ("other",)]
    assert entries[0].finding.startswith("w and 1 alike: memory waits")
    assert entries[0].as_dict()["finding"] == entries[0].finding


def test_all_fields_of_a_site_count(tmp_path, rng):
    stages = [
        *one_matrix(10, 64, site=SITE),
        *(
            replace(stage, name="t", matrices=(replace(stage.matrices[0], name="u"),))
            for stage in one_matrix(10, 64, site=Site(**vars(SITE) | {"dead_zone": 5}))
        ),
    ]
    assert len(balance(compiled(tmp_path / "m", stages, TEST, rng))) == 2


def entry(*matrices, array=2.2, memory=1.0, conditions="csd"):
    return Balance(
        matrices=matrices, memory_cycles=memory, array_cycles=array, conditions=conditions
    )


def test_layers_that_wait_alike_are_told_once():
    q, k = ("layers.0.q", "layers.0.k", "layers.1.q"), ("layers.1.k", "lm_head")
    (told,) = findings([entry(*q), entry(*k, array=2.3), entry("fine", array=0.8)])
    assert told.startswith("layers.*.q, k; lm_head: memory waits for the array: ")
    assert "about 2.2 to 2.3 cycles (csd);" in told


def test_a_matrix_of_some_layers_keeps_its_name():
    waits, idles = findings([entry("layers.0.q"), entry("layers.1.q", array=0.2)])
    assert waits.startswith("layers.0.q: memory waits for the array: ")
    assert idles.startswith("layers.1.q: the array idles 80% of the time: ")


def test_arrays_that_idle_differently_idle_at_least_so_much():
    (told,) = findings([entry("layers.0.q", array=0.2), entry("layers.1.q", array=0.1)])
    assert told.startswith("layers.*.q: the array idles at least 80% of the time: ")
