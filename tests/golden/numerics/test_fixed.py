"""Q15.16 conversion against exact rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.fixed import from_fixed, round_half_away, to_fixed


def half_away(value: Fraction) -> int:
    whole = math.floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def fixed(value: float) -> int:
    if math.isinf(value):
        return (1 << 31) - 1 if value > 0 else -(1 << 31)
    return min(max(half_away(Fraction(value) * 65536), -(1 << 31)), (1 << 31) - 1)


ties = st.integers(-(1 << 33), 1 << 33).map(lambda n: (n + 0.5) / 65536)
reals = st.floats(allow_nan=False) | st.floats(-4e4, 4e4) | ties


@given(st.lists(reals, min_size=1, max_size=8))
def test_to_fixed_is_rational_rounding(values):
    got = to_fixed(torch.tensor(values, dtype=torch.float64))
    assert got.dtype == torch.int32
    assert got.tolist() == [fixed(value) for value in values]


def test_to_fixed_corners():
    below_half = math.nextafter(0.5, 0) / 65536
    values = [below_half, -below_half, 0.5 / 65536, -0.5 / 65536, 1e300, -1e300, -32768.0, -0.0]
    want = [0, 0, 1, -1, 2**31 - 1, -(2**31), -(2**31), 0]
    assert to_fixed(torch.tensor(values, dtype=torch.float64)).tolist() == want


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_to_fixed_widens_other_floats(dtype, seed):
    x = torch.randn(64, generator=torch.Generator().manual_seed(seed)).to(dtype)
    assert to_fixed(x).tolist() == [fixed(value) for value in x.double().tolist()]


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_from_fixed_is_exact(lsb):
    real = from_fixed(torch.tensor([lsb], dtype=torch.int32))
    assert Fraction(real.item()) == Fraction(lsb, 65536)
    assert to_fixed(real).item() == lsb


def test_round_half_away_keeps_sign_and_halves():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -2.5, 2.4999])
    assert round_half_away(x).tolist() == [1, 2, 3, -1, -3, 2]


def test_errors_word_for_word():
    with pytest.raises(ValueError, match=r"^x must be floating point, not torch.int32$"):
        to_fixed(torch.zeros(2, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"^x must be numbers, not NaN at \(1, 0\)$"):
        to_fixed(torch.tensor([[0.0], [math.nan]]))
