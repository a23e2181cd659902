"""Odd shapes, corners of the arithmetic and biases through the RTL, under a stalling memory."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.passes.quantize import Weights
from compiler.programs.layers import build, build_stages
from golden.model.spiking import SpikingLinear
from golden.numerics.neuron import Site
from hw.contract.presets import preset
from sim.device import Timing
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl, Run
from tests.compiler.models import ABOUT, SITE, RandomCheckpoint, one_matrix, recipe
from tests.e2e.rtl_checks import CODINGS, OneMatrix, Trial, random_inputs, timings, verify

# Around lanes (8), scan width (16), tile (32) and burst (16 words of 8 bytes), and beyond them.
CHANNELS = (1, 2, 15, 16, 17, 63, 64, 65, 127, 200)
OUTPUTS = (1, 7, 8, 9, 31, 32, 33, 40, 63, 65, 130)
SETTINGS = (
    dict(),
    dict(rule="mean", kappa=3.0),
    dict(rule="static", peak=1.5, clip=0.5),
    dict(dead_zone=0.75, max_count=31),
    dict(max_count=1, clip=1 / 256),
    dict(max_count=3, clip=0.5),
)


def random_trial(rng, params, directory, timing) -> Trial:
    """Return a program of a random shape, coding, width, rule and number of tokens."""
    channels, outputs = int(rng.choice(CHANNELS)), int(rng.choice(OUTPUTS))
    settings = SETTINGS[rng.integers(len(SETTINGS))]
    coding, bits = str(rng.choice(CODINGS)), int(rng.choice([8, 4, 2]))
    tokens = int(rng.integers(1, 8))
    checkpoint = RandomCheckpoint(
        int(rng.integers(1 << 31)), layers=1, hidden_size=channels, ffn_size=outputs
    )
    chosen = recipe(weight_bits=bits, **settings)
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, chosen)
    program = build(
        checkpoint,
        ["gate0", "up0", "q0", "k0"],  # q and k have biases
        directory,
        params=params,
        recipe=chosen,
        coding=coding,
        tokens=tokens,
    )
    inputs = random_inputs(rng, program, linear)
    name = f"K={channels} N={outputs} {coding} {bits} bits {tokens} tokens {settings}"
    return Trial(name, linear, Run(compiled=program, inputs=inputs, timing=timing))


def test_random_programs(rtl, tmp_path, rng):
    memories = timings(rng)
    verify(
        rtl,
        [
            random_trial(rng, preset("test"), tmp_path / f"{i}", memories[i % len(memories)])
            for i in range(40)
        ],
    )


@pytest.mark.parametrize(
    "changes",
    [
        dict(tokens=1, lanes=16, banks=32, axi_data_width=256, max_burst_words=64, fetch_depth=128),
        dict(tokens=5, lanes=16, banks=8, max_count=31, weight_widths=(8, 2), scan_width=64),
    ],
    ids=["one token, wide memory", "five tokens, small counts"],
)
@pytest.mark.full
def test_random_programs_on_other_hardware(tmp_path, rng, changes):
    params = replace(preset("test"), **changes)
    rtl = Rtl(build_bench(params))
    memories, trials = timings(rng), []
    while len(trials) < 20:
        try:
            directory, timing = tmp_path / f"{len(trials)}", memories[len(trials) % len(memories)]
            trials.append(random_trial(rng, params, directory, timing))
        except ValueError as error:  # a width or a count that this hardware does not take
            assert "this hardware" in str(error)
    verify(rtl, trials)


def one_matrix_trial(directory, rng, codes, x, *, coding="csd", bits=8, site=SITE, **changes):
    """Return a program of one matrix of these codes, for these vectors."""
    outputs, channels = codes.shape
    weights = Weights(
        codes.astype(np.int8),
        changes.get("mantissa", rng.integers(1 << 15, 1 << 16, outputs)),
        changes.get("exponent", np.full(outputs, 24)),
        changes.get("bias"),
    )
    stages = one_matrix(outputs, channels, bits, weights.bias is not None, site)
    program = build_stages(
        stages,
        lambda _: weights,
        directory,
        params=preset("test"),
        coding=coding,
        tokens=len(x),
        about=ABOUT,
    )
    linear = OneMatrix(site, weights, bits)
    run = Run(compiled=program, inputs={"s.input": x.astype(np.int32)}, timing=Timing(stalls=0.2))
    return Trial(directory.name, linear, run)


@pytest.mark.parametrize("coding", CODINGS)
def test_largest_accumulators(rtl, tmp_path, rng, coding):
    # Every channel fires as often as it can, on the largest weights, over the most channels.
    channels = preset("test").max_channels
    codes = np.full((9, channels), 127)
    codes[1::2] = -127
    x = np.full((2, channels), 12345)
    x[1] = -x[1]
    verify(rtl, [one_matrix_trial(tmp_path / coding, rng, codes, x, coding=coding)])


def test_edges_of_the_dead_zone_and_of_the_clip(rtl, tmp_path, rng):
    # With D = 5 a magnitude of 2000 fires 5 times, 200 once, and half as much not yet or just so.
    site = Site(rule="static", max_count=5, multiplier=256, divisor=5, peak=1000, dead_zone=150)
    magnitudes = np.array([149, 150, 151, 299, 300, 301, 899, 900, 901, 1099, 1100, 1101, 1 << 30])
    x = np.stack([magnitudes, -magnitudes])
    codes = np.eye(len(magnitudes), dtype=np.int8)  # each output is the count of its channel
    options = dict(mantissa=np.full(13, 1 << 15), exponent=np.full(13, 15), site=site)
    verify(rtl, [one_matrix_trial(tmp_path / "edges", rng, codes, x, **options)])


def test_silent_tokens_and_silent_batches(rtl, tmp_path, rng):
    codes = rng.integers(-127, 128, (33, 70))
    x = rng.integers(-(1 << 20), 1 << 20, (8, 70))
    x[[0, 1, 2, 5]] = 0  # a silent batch, then silent tokens beside firing ones
    x[6:] = 0
    x[6, 69] = 1  # a single event, in the last channel
    (result,) = verify(rtl, [one_matrix_trial(tmp_path / "silent", rng, codes, x)])
    assert 1 <= result.counters["events"] <= 2 * 70 + 1  # of the 4 * 70 of four batches


def test_no_event_at_all(rtl, tmp_path, rng):
    codes = rng.integers(-127, 128, (33, 70))
    bias = rng.integers(-(1 << 31), 1 << 31, 33)
    trial = one_matrix_trial(tmp_path / "none", rng, codes, np.zeros((3, 70)), bias=bias)
    (result,) = verify(rtl, [trial])
    assert result.counters["weight_bytes_read"] == 0
    assert (result.outputs["w.output"] == bias).all()


def test_requantization_at_its_ends(rtl, tmp_path, rng):
    # Every exponent, so that results go from 0 by all roundings to saturation, and biases beyond.
    exponent = np.arange(8, 72)
    codes = rng.integers(-127, 128, (64, 3))
    peaks = np.array([1, 2, 1 << 8, 1 << 16, 1 << 24, (1 << 31) - 1])
    x = peaks[:, None] * np.array([1, -1, 1]) // np.array([1, 2, 3])
    bias = rng.choice([0, 1, -1, (1 << 31) - 1, -(1 << 31)], 64)
    options = dict(exponent=exponent, mantissa=rng.choice([0, 1 << 15, (1 << 16) - 1], 64))
    trials = [
        one_matrix_trial(tmp_path / "plain", rng, codes, x, **options),
        one_matrix_trial(tmp_path / "biased", rng, codes, x, bias=bias, **options),
    ]
    verify(rtl, trials)
