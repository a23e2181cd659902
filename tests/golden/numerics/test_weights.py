"""Quantized weights against section 4 in rational arithmetic, and the clip's promise."""

import math
import re
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics import weights as module
from golden.numerics.weights import LARGEST_CODE, dequantize, quantize_weight

BITS = (8, 4, 2)
weights = st.floats(-8, 8, width=32) | st.sampled_from([0.0, 1.0, -1.0, 1e-7, 30.0])


@st.composite
def matrices(draw):
    outputs, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    values = draw(st.lists(weights, min_size=outputs * inputs, max_size=outputs * inputs))
    return torch.tensor(values, dtype=torch.float32).reshape(outputs, inputs)


def gaussian(outputs: int, inputs: int, seed: int) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


def scales(weight) -> list[Fraction]:
    pairs = zip(weight.mantissa.tolist(), weight.exponent.tolist(), strict=True)
    return [Fraction(mantissa, 2**exponent) for mantissa, exponent in pairs]


def code_of(w: Fraction, scale: Fraction, largest: int) -> int:
    if scale == 0:
        return 0
    code = min(largest, math.floor(abs(w) / scale + Fraction(1, 2)))
    return code if w >= 0 else -code


@given(matrices(), st.sampled_from(BITS))
def test_codes_and_scales_are_section_4(w, bits):
    weight = quantize_weight(w, bits)
    assert weight.codes.dtype == torch.int8 and weight.bits == bits
    for row, mantissa, exponent in zip(w, weight.mantissa, weight.exponent, strict=True):
        if row.any():
            assert 2**15 <= mantissa < 2**16 and 8 <= exponent <= 71
        else:
            assert (mantissa, exponent) == (0, 8)
    want = [
        [code_of(Fraction(value), scale, LARGEST_CODE[bits]) for value in row]
        for row, scale in zip(w.tolist(), scales(weight), strict=True)
    ]
    assert weight.codes.tolist() == want


@given(matrices(), st.sampled_from(BITS))
def test_dequantize_is_exact(w, bits):
    weight = quantize_weight(w, bits)
    for row, codes, scale in zip(
        dequantize(weight).tolist(), weight.codes.tolist(), scales(weight), strict=True
    ):
        assert [Fraction(value) for value in row] == [code * scale for code in codes]


def test_halves_are_rounded_away_from_zero():
    exact = [127, -126, 101, -64, 33, 2, 1]
    w = torch.tensor([[*exact * 9, 0.5, 1.5, -0.5, -2.5, 2.4999]])
    weight = quantize_weight(w / 64, 8)
    assert scales(weight) == [Fraction(1, 64)]
    just = torch.tensor(0.5).nextafter(torch.tensor([0.0, 1.0]))
    near = quantize_weight(torch.tensor([[*exact * 9, *just.tolist()]]) / 64, 8)
    assert near.codes[0, -2:].tolist() == [0, 1]
    assert weight.codes[0, -5:].tolist() == [1, 2, -1, -3, 2]


def squared_error(w: torch.Tensor, scale: float, largest: int) -> float:
    w = w.double()
    codes = (w / scale).round().clamp(-largest, largest)
    return float(((codes * scale - w) ** 2).sum())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("outliers", [0, 1])
def test_no_clip_of_the_grid_costs_less(bits, outliers, seed):
    w = gaussian(6, 200, seed)
    w[:, :outliers] *= 8
    largest = LARGEST_CODE[bits]
    got = ((dequantize(quantize_weight(w, bits)) - w) ** 2).sum(dim=1)
    for row, error in zip(w, got.tolist(), strict=True):
        grid = [float(row.abs().max()) / largest * clip / 100 for clip in range(10, 101, 2)]
        # The mantissa is rounded to 16 bits, which this reference leaves out.
        assert error <= min(squared_error(row, scale, largest) for scale in grid) * (1 + 1e-3)


def test_clipping_pays_where_codes_are_few(seed):
    w = gaussian(64, 512, seed)
    for bits, gain in ((4, 0.85), (2, 0.5)):
        peak = w.abs().amax(dim=1)
        unclipped = sum(
            squared_error(row, float(p) / LARGEST_CODE[bits], LARGEST_CODE[bits])
            for row, p in zip(w, peak, strict=True)
        )
        clipped = float(((dequantize(quantize_weight(w, bits)) - w) ** 2).sum())
        assert clipped < gain * unclipped


@pytest.mark.parametrize("bits", BITS)
def test_weights_that_are_codes_already_stay_what_they_are(bits, seed):
    largest = LARGEST_CODE[bits]
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(-largest, largest + 1, (32, 64), generator=generator)
    codes[:, 0] = largest
    weight = quantize_weight(codes * 0.01953125, bits)  # 5 / 256: a scale of few bits
    assert torch.equal(weight.codes.long(), codes)
    assert scales(weight) == [Fraction(5, 256)] * 32


@pytest.mark.parametrize("bits", BITS)
def test_a_channel_does_not_depend_on_its_neighbours(bits, seed):
    w = gaussian(600, 300, seed)  # several blocks
    whole = quantize_weight(w, bits)
    for n in (0, 108, 109, 110, 599):
        alone = quantize_weight(w[n : n + 1], bits)
        part = whole.rows(n, n + 1)
        assert torch.equal(part.codes, alone.codes)
        assert (part.mantissa, part.exponent) == (alone.mantissa, alone.exponent)


def plain_scale(w: torch.Tensor, bits: int) -> torch.Tensor:
    return module._best_scale(w, w.abs().amax(dim=1).double(), bits)


def found_scale(w: torch.Tensor, bits: int) -> torch.Tensor:
    return module._found_scale(w, w.abs().amax(dim=1).double(), bits)


@given(matrices(), st.sampled_from(BITS))
def test_the_compiled_search_finds_the_same_scales(w, bits):
    assert torch.equal(found_scale(w, bits), plain_scale(w, bits))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("inputs", [511, 512, 513, 1700])  # about the pieces in which it adds up
def test_the_compiled_search_finds_the_same_scales_of_long_channels(bits, inputs, seed):
    w = gaussian(40, inputs, seed)
    w[20:, 5] *= 20  # an outlier: other clips
    w[30:] = w[30:].bfloat16().float()
    assert torch.equal(found_scale(w, bits), plain_scale(w, bits))


def test_where_two_scales_cost_the_same_the_plain_search_decides(monkeypatch):
    asked = []
    plain = module._best_scale
    monkeypatch.setattr(module, "_best_scale", lambda w, *a: asked.append(w) or plain(w, *a))
    w = torch.tensor([[1.0, 1, 0], [2.0**-60, 0, 0], [0, 0, 0]])  # all scales of the second are one
    quantize_weight(w, 4)
    assert [x.tolist() for x in asked] == [[w[1].tolist()]]


def test_scales_end_where_their_form_ends():
    tiny = torch.tensor([[2.0**-60, 0.0], [2.0**-56, 2.0**-57], [0.0, 0.0]])
    weight = quantize_weight(tiny, 2)
    assert weight.mantissa.tolist() == [2**15, 2**15, 0]
    assert weight.exponent.tolist() == [71, 71, 8]
    assert weight.codes.tolist() == [[0, 0], [1, 1], [0, 0]]
    large = quantize_weight(torch.tensor([[255.99, 255.99]]), 2)
    assert (large.mantissa.item(), large.exponent.item()) == (65533, 8)


SHAPED = "w must be floating point of shape (outputs, inputs)"


@pytest.mark.parametrize(
    ("w", "bits", "said"),
    [
        (torch.zeros(2, 2), 3, "bits must be 8, 4 or 2, not 3"),
        (torch.zeros(2, 2), "8", "bits must be 8, 4 or 2, not '8'"),
        (torch.tensor([[1.0, 2], [3, math.nan]]), 8,
         "weights must be finite, not nan in output channel 1"),
        (torch.cat([torch.ones(40000, 2), torch.tensor([[1.0, -math.inf]])]), 4,
         "weights must be finite, not -inf in output channel 40000"),
        (torch.tensor([[1.0, 1], [256, 1]]), 2,
         "weights of 2 bits must be below 256 in magnitude, not 256 in output channel 1"),
        (torch.tensor([[-40000.0, 1]]), 8,
         "weights of 8 bits must be below 32512 in magnitude, not 40000 in output channel 0"),
        (torch.zeros(2), 8, f"{SHAPED}, not torch.float32 of shape (2,)"),
        (torch.zeros(2, 2, dtype=torch.int8), 8, f"{SHAPED}, not torch.int8 of shape (2, 2)"),
    ],
)  # fmt: skip
def test_what_cannot_be_quantized_is_refused(w, bits, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        quantize_weight(w, bits)
