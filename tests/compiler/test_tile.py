"""Layout of weights: docs/compiled.md read bit by bit, apart from the compiler's own packing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.passes.place import channel_word_bytes, weight_bytes
from compiler.passes.tile import check, pack_channel_words, pack_tile, tile
from golden.numerics.neuron import Site
from hw.contract.presets import preset
from tests.compiler.models import hardware, one_matrix, random_weights


@settings(max_examples=60)
@given(
    params=hardware(),
    outputs=st.integers(1, 300),
    channels=st.integers(1, 40),
    width=st.sampled_from([8, 4, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_weight_is_in_exactly_one_place(params, outputs, channels, width, seed):
    [stage] = one_matrix(outputs, channels, width)
    [matrix] = stage.matrices
    codes = random_weights(np.random.default_rng(seed), matrix).codes
    raw = b"".join(
        pack_tile(codes[t.first : t.first + t.outputs], width, t.row_bytes).tobytes()
        for t in tile(matrix, params)
    )
    assert len(raw) == weight_bytes(matrix, params)
    assert len(raw) % params.axi_bytes == 0

    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    taken = np.zeros(len(bits), bool)
    values = np.zeros(codes.shape, int)
    start = 0  # of the tile, in bits
    for first in range(0, outputs, params.tile_outputs):
        of_tile = min(params.tile_outputs, outputs - first)
        beats = -(-of_tile // params.lanes)
        row = -(-beats * params.lanes * width // params.axi_data_width) * params.axi_data_width
        for k in range(channels):
            for j in range(of_tile):
                at = start + k * row + j * width
                assert not taken[at : at + width].any()
                taken[at : at + width] = True
                code = int(bits[at : at + width] @ (1 << np.arange(width)))
                values[first + j, k] = code - (code >> (width - 1) << width)
        start += channels * row
    assert start == len(bits)
    assert np.array_equal(values, codes)
    assert not bits[~taken].any()


@settings(max_examples=20)
@given(
    params=hardware(),
    outputs=st.integers(1, 40),
    has_bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_channel_words_are_scales_then_biases_a_memory_word_each(params, outputs, has_bias, seed):
    [stage] = one_matrix(outputs, 3, has_bias=has_bias)
    [matrix] = stage.matrices
    weights = random_weights(np.random.default_rng(seed), matrix)
    words = pack_channel_words(weights.mantissa, weights.exponent, weights.bias, params)
    assert words.nbytes == channel_word_bytes(matrix, params)
    expected, lanes = [], params.axi_data_width // 32
    for first in range(0, outputs, lanes):
        group = [n if n < outputs else None for n in range(first, first + lanes)]
        for n in group:
            scale = n is not None and int(weights.mantissa[n]) | int(weights.exponent[n]) << 16
            expected.append(int(scale))
        for n in group if has_bias else ():
            expected.append(0 if n is None else int(weights.bias[n]) % (1 << 32))
    assert words.reshape(-1).tolist() == expected


def test_a_scale_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="^exponent must be 0 to 255, not 256$"):
        pack_channel_words(np.array([1 << 15]), np.array([256]), None, preset("test"))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            one_matrix(8, 2049),
            (
                "s has 2,049 channels, but this hardware takes at most 2,048 (max_channels): "
                "choose a larger preset, such as datacenter or edge"
            ),
        ),
        (
            one_matrix(8, 8, site=Site("absmax", 32, 256, 32)),
            (
                "s counts to 32, but this hardware only to 31 (max_count): choose another recipe "
                "or preset"
            ),
        ),
        (
            one_matrix(8, 8, 2, site=Site("absmax", 31, 256, 31)),
            (
                "w has weights of 2 bits, but this hardware takes 8, 4 (weight_widths): choose "
                "another recipe or preset"
            ),
        ),
    ],
)
def test_what_hardware_has_not_is_named(stages, message):
    params = replace(preset("test"), max_count=31, weight_widths=(8, 4))
    with pytest.raises(ValueError) as error:
        check(stages, params)
    assert str(error.value) == message


def test_hardware_takes_what_it_just_has():
    params = replace(preset("test"), max_count=31, weight_widths=(8,))
    check(one_matrix(8, params.max_channels, 8, site=Site("absmax", 31, 256, 31)), params)
