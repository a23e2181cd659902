"""Accumulation and requantization against sections 5 and 6 in Python integers."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.requantization import requantize
from golden.numerics.weights import QuantizedWeight

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


def random_int8(shape: tuple[int, ...], seed: int, bound: int = 127) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-bound, bound + 1, shape, generator=generator, dtype=torch.int8)


def sat32(value: int) -> int:
    return min(max(value, -(1 << 31)), (1 << 31) - 1)


def requantized(y: int, v: int, mantissa: int, exponent: int, bias: int) -> int:
    """Section 6 for one value."""
    e = v.bit_length() - 16
    p = y * (v >> e) * mantissa
    sh = 24 + exponent - e
    if sh > 0:
        magnitude = (abs(p) + (1 << sh - 1)) >> sh
        r = magnitude if p >= 0 else -magnitude
    else:
        r = p << -sh
    return sat32(sat32(r) + bias)


def requantize_one(y, v, mantissa, exponent, bias):
    def column(value, dtype):
        return torch.tensor([value], dtype=dtype)

    weight = QuantizedWeight(
        torch.zeros(1, 1, dtype=torch.int8),
        column(mantissa, torch.int32),
        column(exponent, torch.int32),
        8,
    )
    bias = None if bias is None else column(bias, torch.int32)
    out = requantize(column([y], torch.int64), column(v, torch.int64), weight, bias)
    assert out.dtype == torch.int32 and out.shape == (1, 1)
    return out.item()


accumulators = (
    st.integers(-(1 << 47) + 1, (1 << 47) - 1)
    | st.integers(0, 46).flatmap(lambda b: st.integers(1 << b, (2 << b) - 1))
    | st.integers(-(1 << 31) + 1, (1 << 31) - 1)
    | st.integers(-(1 << 20), 1 << 20)
    | st.sampled_from([0, 1, -1, (1 << 31) - 1, 1 - (1 << 31), (1 << 47) - 1, 1 - (1 << 47)])
)
thresholds = (
    st.integers(1 << 24, (1 << 56) - 1)
    | st.integers(24, 55).flatmap(lambda b: st.integers(1 << b, (2 << b) - 1))
    | st.integers(24, 56).map(lambda b: (1 << b) - (b > 24))
)
mantissas = st.integers(1 << 15, (1 << 16) - 1) | st.just((1 << 16) - 1) | st.just(1 << 15)


@given(accumulators, thresholds, mantissas, st.integers(8, 71), st.none() | INT32)
def test_requantize_is_section_6(y, v, mantissa, exponent, bias):
    want = requantized(y, v, mantissa, exponent, bias or 0)
    assert requantize_one(y, v, mantissa, exponent, bias) == want


@given(accumulators, st.integers(30, 50), st.integers(0, 31), st.integers(-1, 1))
def test_requantize_rounds_halves_away(y, threshold_log2, shift, off):
    """Powers of two leave y / 2^shift: next to a half, the last bit decides."""
    y = (y | 1) % (1 << 30) * 2 + off  # odd multiples of 2 and their neighbours
    v, mantissa = 1 << threshold_log2, 1 << 15
    exponent = 15 + threshold_log2 - 24 + shift
    if 8 <= exponent <= 71:
        half_away = (2 * abs(y) + (1 << shift)) // (2 << shift)
        assert requantize_one(y, v, mantissa, exponent, None) == sat32(half_away * (y > 0 or -1))
        half_away_of_minus = sat32(-half_away if y > 0 else half_away)
        assert requantize_one(-y, v, mantissa, exponent, None) == half_away_of_minus


def test_requantize_corners():
    largest = (1 << 31) - 1
    assert requantize_one(largest, (1 << 56) - 1, 65535, 8, None) == largest  # shifted left
    assert requantize_one(-largest, (1 << 56) - 1, 65535, 8, None) == -largest - 1
    assert requantize_one(largest, (1 << 56) - 1, 65535, 8, -1) == largest - 1  # saturates twice
    fine = (1 << 25) - 1  # its mantissa is 65535: the product is just below 2^63
    assert requantize_one(largest, fine, 65535, 47, None) == 2  # shift of 62
    assert requantize_one(largest, fine, 65535, 48, None) == 1  # shift of 63
    assert requantize_one(-largest, fine, 65535, 48, None) == -1
    assert requantize_one(largest, fine, 65535, 49, None) == 0  # shift of 64
    assert requantize_one(largest, fine, 65535, 71, None) == 0  # shift of 86
    assert requantize_one(123, 1 << 24, 0, 8, -77) == -77  # an all-zero channel
    widest = (1 << 47) - 1
    assert requantize_one(widest, fine, 65535, 64, None) == 1  # shift of 79
    assert requantize_one(-widest, fine, 65535, 63, None) == -2
    assert requantize_one(widest, fine, 65535, 65, None) == 0
    with pytest.raises(ValueError, match="^accumulators must be below 2\\^47 in magnitude, not 14"):
        requantize_one(1 << 47, 1 << 24, 1 << 15, 8, None)


@pytest.mark.parametrize("v", [1 << 24, *((1 << b) - off for b in range(25, 56) for off in (0, 1))])
def test_requantize_normalizes_thresholds_next_to_a_power_of_two(v):
    exponent = v.bit_length() - 10
    want = requantized(1 << 29, v, 40000, exponent, 0)
    assert 1 << 28 < want < 1 << 31
    assert requantize_one(1 << 29, v, 40000, exponent, None) == want


@given(accumulators, thresholds, mantissas, st.integers(8, 71))
def test_requantize_is_close_to_real_arithmetic(y, v, mantissa, exponent):
    real = Fraction(y * v * mantissa, 1 << 24 + exponent)
    if abs(real) < (1 << 31) - 1:
        error = abs(requantize_one(y, v, mantissa, exponent, None) - real)
        assert error <= Fraction(1, 2) + abs(real) / (1 << 15)


def test_requantize_takes_threshold_by_token_and_scale_by_channel(seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(-(1 << 26), 1 << 26, (5, 7), generator=generator)
    v = torch.randint(1 << 24, 1 << 50, (5,), generator=generator)
    mantissa = torch.randint(1 << 15, 1 << 16, (7,), generator=generator).int()
    exponent = torch.randint(8, 40, (7,), generator=generator).int()
    bias = torch.randint(-(1 << 20), 1 << 20, (7,), generator=generator).int()
    weight = QuantizedWeight(torch.zeros(7, 1, dtype=torch.int8), mantissa, exponent, 8)
    want = [
        [
            requantized(int(y[m, n]), int(v[m]), int(mantissa[n]), int(exponent[n]), int(bias[n]))
            for n in range(7)
        ]
        for m in range(5)
    ]
    assert requantize(y, v, weight, bias).tolist() == want
