"""Accumulation and requantization against sections 5 and 6 in Python integers."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.accumulation import accumulate, accumulate_spikes
from golden.numerics.codings import CODINGS, encode, time_steps_for

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


def random_int8(shape: tuple[int, ...], seed: int, bound: int = 127) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-bound, bound + 1, shape, generator=generator, dtype=torch.int8)


@pytest.mark.parametrize("channels", [1, 64, 1039, 1040, 1041, 1536, 5000])
@pytest.mark.parametrize("bounds", [(127, 127), (127, 7), (127, 1), (1, 1), (128, 127)])
def test_accumulate_is_exact_at_its_worst(channels, bounds):
    low, high = bounds
    counts = torch.full((2, channels), low - 256 if low > 127 else low).to(torch.int8)
    counts[1, ::3] = -counts[1, ::3]
    codes = torch.full((3, channels), high, dtype=torch.int8)
    codes[1] = -high
    codes[2, 1::2] = 1 - high
    want = counts.long() @ codes.long().T
    assert torch.equal(accumulate(counts, codes), want)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2500), st.integers(0, 2**32 - 1))
def test_accumulate_is_the_integer_product(tokens, outputs, channels, seed):
    counts = random_int8((tokens, channels), seed)
    codes = random_int8((outputs, channels), seed + 1)
    got = accumulate(counts, codes)
    assert got.dtype == torch.int64
    assert torch.equal(got, counts.long() @ codes.long().T)


@pytest.mark.parametrize("coding", CODINGS)
@given(st.integers(1, 127), st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_coding_adds_up_to_the_same(coding, max_count, tokens, channels, seed):
    counts = random_int8((tokens, channels), seed, max_count)
    codes = random_int8((4, channels), seed + 1)
    spikes = encode(counts, coding, time_steps_for(max_count, coding))
    assert torch.equal(accumulate_spikes(spikes, codes, coding), accumulate(counts, codes))


def test_operands_that_do_not_belong_together_are_refused():
    int8 = torch.int8
    with pytest.raises(ValueError, match="^counts must be int8 or int16 and codes int8, not"):
        accumulate(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=int8))
    said = "must have K channels each, not shapes (1, 2) and (1, 3)"
    with pytest.raises(ValueError, match=re.escape(said)):
        accumulate(torch.zeros(1, 2, dtype=int8), torch.zeros(1, 3, dtype=int8))
    with pytest.raises(ValueError, match="must have K channels each"):
        accumulate_spikes(torch.zeros(1, 2, dtype=int8), torch.zeros(1, 2, dtype=int8), "csd")
