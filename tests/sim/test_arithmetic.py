"""The functional device's arithmetic against docs/numerics.md in exact rational numbers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from golden.numerics.codings import encode, time_steps_for
from hw.contract.isa import Coding, Rule
from sim.functional.arithmetic import (
    accumulate,
    fire,
    requantize,
    spikes,
    threshold,
    unpack_weights,
)

F = 24
INT32 = st.one_of(
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.sampled_from([-(1 << 31), (1 << 31) - 1, 0, 1, -1]),
    st.integers(-300, 300),
)
VECTORS = st.lists(INT32, min_size=1, max_size=40).map(lambda x: np.array(x, np.int32))
THRESHOLDS = st.one_of(
    st.integers(1 << F, (1 << 56) - 1),
    st.sampled_from([1 << F, (1 << F) + 1, (1 << 56) - 1]),
    st.integers(F, 55).map(lambda b: 1 << b),
)


@given(
    x=VECTORS,
    rule=st.sampled_from(Rule),
    multiplier=st.integers(1, 256),
    divisor=st.one_of(st.integers(1, 127), st.integers(1, (1 << 24) - 1)),
    peak=st.integers(0, 1 << 31),
)
@example(np.full(3, -(1 << 31), np.int32), Rule.MEAN, 256, 1, 0)  # saturates
def test_threshold(x, rule, multiplier, divisor, peak):
    magnitudes = [abs(v) for v in x.tolist()]
    a = {Rule.ABSMAX: max(magnitudes), Rule.MEAN: sum(magnitudes), Rule.STATIC: peak}[rule]
    v = max(1 << F, floor(Fraction(a * multiplier * 2 ** (F - 8), divisor)))
    assert threshold(x, rule, multiplier, divisor, peak) == min(v, (1 << 56) - 1)


@given(
    x=VECTORS,
    v=THRESHOLDS,
    max_count=st.integers(1, 127),
    dead_zone=st.one_of(st.integers(0, 300), st.integers(0, 1 << 31)),
)
def test_fire(x, v, max_count, dead_zone):
    expected = []
    for value in x.tolist():
        count = min(max_count, floor(Fraction(abs(value) << F, v) + Fraction(1, 2)))
        count = 0 if abs(value) < dead_zone else count
        expected.append(count if value > 0 else -count)
    assert fire(x, v, max_count, dead_zone).tolist() == expected


@pytest.mark.parametrize("coding", Coding)
def test_spikes_of_every_count(coding):
    name = coding.name.lower()
    counts = torch.arange(-127, 128, dtype=torch.int8)
    trains = encode(counts, name, time_steps_for(127, name))
    for count, train in zip(counts.tolist(), trains.T, strict=True):
        assert spikes(np.array([[count]]), coding) == int(train.count_nonzero())


@given(
    y=st.one_of(st.integers(-(1 << 29), 1 << 29), st.integers(-4, 4)),
    v=THRESHOLDS,
    mantissa=st.sampled_from([0, 1 << 15, (1 << 15) + 1, 43691, (1 << 16) - 1]),
    exponent=st.one_of(st.integers(8, 71), st.integers(0, 255)),
    bias=INT32,
)
def test_requantize(y, v, mantissa, exponent, bias):
    e = v.bit_length() - 16
    product = Fraction(y * floor(Fraction(v, 2**e)) * mantissa)
    real = product * Fraction(2) ** -(24 + exponent - e)
    # Half away from zero; where nothing is shifted out, adding a half changes nothing.
    r = floor(abs(real) + Fraction(1, 2)) * (1 if real > 0 else -1)

    def sat32(value):
        return max(-(1 << 31), min((1 << 31) - 1, value))

    arrays = [np.array([value], np.int64) for value in (y, mantissa, exponent, bias)]
    assert requantize(arrays[0], v, *arrays[1:]).tolist() == [sat32(sat32(r) + bias)]


@pytest.mark.parametrize("width", [8, 4, 2])
def test_every_code_is_unpacked_with_its_sign(width):
    values = np.arange(-(1 << width - 1), 1 << width - 1)
    bits = np.concatenate([(values[:, None] >> np.arange(width)) & 1]).astype(np.uint8).reshape(-1)
    raw = np.packbits(bits, bitorder="little")[None]
    assert unpack_weights(raw, width, len(values)).tolist() == [values.tolist()]
    assert unpack_weights(raw, width, 3).tolist() == [values[:3].tolist()]


def test_the_largest_sum_does_not_overflow():
    counts = np.full((1, 1 << 15), -127)
    assert accumulate(counts, np.full((1 << 15, 1), 127, np.int32)).tolist() == [[-(127**2) << 15]]
