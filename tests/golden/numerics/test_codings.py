"""The codings against digits written out in Python, their laws, and every refusal."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.codings import (
    CODINGS,
    decode,
    encode,
    step_weights,
    time_steps_for,
    zero_point,
)

INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64]
UNSIGNED = [torch.uint8, torch.uint16, torch.uint32, torch.uint64]
TERNARY = ("unary", "bitwise", "csd")


def sign(n: int) -> int:
    return (n > 0) - (n < 0)


def digits(n: int, coding: str, time_steps: int) -> list[int]:
    """Section 3's table for one count."""
    if coding == "unary":
        return [sign(n) * (abs(n) > t) for t in range(time_steps)]
    if coding == "bitwise":
        return [sign(n) * (abs(n) >> t & 1) for t in range(time_steps)]
    if coding == "binary":
        return [n + 2 ** (time_steps - 1) >> t & 1 for t in range(time_steps)]
    # The non-adjacent form by its other definition: the digits of 3n less those of n, halved.
    triple, single = 3 * abs(n), abs(n)
    return [sign(n) * ((triple >> t + 1 & 1) - (single >> t + 1 & 1)) for t in range(time_steps)]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("max_count", [1, 2, 3, 7, 8, 15, 31, 100, 127])
def test_every_count_of_every_coding(coding, max_count):
    time_steps = time_steps_for(max_count, coding)
    counts = torch.arange(-max_count, max_count + 1)
    spikes = encode(counts, coding, time_steps)
    assert spikes.dtype == torch.int8 and spikes.shape == (time_steps, 2 * max_count + 1)
    assert spikes.T.tolist() == [digits(n, coding, time_steps) for n in counts.tolist()]
    assert torch.equal(decode(spikes, coding), counts)


def test_time_steps_are_the_table():
    want = {"unary": [1, 3, 127], "bitwise": [1, 2, 7], "csd": [2, 3, 8], "binary": [2, 3, 8]}
    assert {c: [time_steps_for(d, c) for d in (1, 3, 127)] for c in CODINGS} == want


def test_step_weights_are_the_table():
    assert step_weights("unary", 3).tolist() == [1, 1, 1]
    for coding in ("bitwise", "csd", "binary"):
        assert step_weights(coding, 4).tolist() == [1, 2, 4, 8]
    assert [zero_point(coding, 4) for coding in CODINGS] == [0, 0, 0, 8]


bounds = {
    "unary": lambda t: (-t, t),
    "bitwise": lambda t: (1 - 2**t, 2**t - 1),
    "csd": lambda t: (-(2 ** (t + 1) // 3), 2 ** (t + 1) // 3),
    "binary": lambda t: (-(2 ** (t - 1)), 2 ** (t - 1) - 1),
}


@st.composite
def trains(draw):
    coding = draw(st.sampled_from(CODINGS))
    time_steps = draw(st.integers(1, 127 if coding == "unary" else 30))
    low, high = bounds[coding](time_steps)
    count = st.integers(low, high) | st.sampled_from([low, high, 0])
    shape = draw(st.sampled_from([(), (3,), (2, 3), (0,), (2, 1, 2)]))
    numbers = torch.Size(shape).numel()
    counts = draw(st.lists(count, min_size=numbers, max_size=numbers))
    return coding, time_steps, torch.tensor(counts, dtype=torch.int64).reshape(shape)


@given(trains())
def test_decode_undoes_encode(train):
    coding, time_steps, counts = train
    spikes = encode(counts, coding, time_steps)
    assert spikes.shape == (time_steps, *counts.shape)
    assert torch.equal(decode(spikes, coding), counts)


@given(trains())
def test_ternary_codings_are_odd(train):
    coding, time_steps, counts = train
    if coding != "binary":
        negated = encode(-counts, coding, time_steps)
        assert torch.equal(negated, -encode(counts, coding, time_steps))


@given(trains())
def test_csd_has_no_two_spikes_in_a_row(train):
    coding, time_steps, counts = train
    if coding == "csd":
        spikes = encode(counts, coding, time_steps)
        assert not (spikes[1:] * spikes[:-1]).any()


def test_csd_is_never_longer_than_bitwise_nor_bitwise_than_unary():
    counts = torch.arange(-127, 128)
    fires = [encode(counts, c, time_steps_for(127, c)).ne(0).sum(dim=0) for c in TERNARY]
    assert (fires[2] <= fires[1]).all() and (fires[1] <= fires[0]).all()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("time_steps", [1, 2, 5])
def test_a_count_just_out_of_range_is_refused(coding, time_steps):
    low, high = bounds[coding](time_steps)
    encode(torch.tensor([low, high]), coding, time_steps)
    for count in (low - 1, high + 1):
        said = (
            f"a count must be from {low} to {high} ({coding}, {time_steps} time steps), "
            f"not {count} at (1,)"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            encode(torch.tensor([0, count]), coding, time_steps)


@pytest.mark.parametrize("dtype", [*INTEGERS, *UNSIGNED])
def test_any_integer_dtype_is_taken(dtype):
    counts = [0, 1, 5] if dtype in UNSIGNED else [0, 1, -5]
    spikes = encode(torch.tensor(counts).to(dtype), "csd", 4)
    assert spikes.T.tolist() == [digits(n, "csd", 4) for n in counts]
    assert decode(spikes.to(torch.int64), "csd").tolist() == counts


def test_extreme_integers_are_refused_not_wrapped():
    with pytest.raises(ValueError, match="not be 18446744073709551615$"):
        encode(torch.tensor([2**64 - 1], dtype=torch.uint64), "csd", 4)
    with pytest.raises(ValueError, match="not -9223372036854775808 at"):
        encode(torch.tensor([-(2**63)]), "unary", 4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.tensor([1.5, 2.0]), "must be of an integer dtype, not torch.float32 (1.5)"),
        (torch.tensor([2.0]).half(), "must be of an integer dtype, not torch.float16 (2.0)"),
        (torch.tensor([True]), "must be of an integer dtype, not torch.bool (True)"),
        (torch.zeros(2, 0), "must be of an integer dtype, not torch.float32"),
    ],
)
def test_a_wrong_dtype_is_refused(values, said):
    with pytest.raises(ValueError, match=f"^counts {re.escape(said)}$"):
        encode(values, "csd", 4)
    with pytest.raises(ValueError, match=f"^spikes {re.escape(said)}$"):
        decode(values, "csd")


@pytest.mark.parametrize("coding", ["gray", "CSD", "", None, 3])
def test_an_unknown_coding_is_refused(coding):
    said = f"coding must be one of unary, bitwise, csd, binary, not {coding!r}"
    for call in (
        lambda: encode(torch.tensor([1]), coding, 4),
        lambda: decode(torch.tensor([[1]]), coding),
        lambda: step_weights(coding, 4),
        lambda: zero_point(coding, 4),
        lambda: time_steps_for(7, coding),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            call()


@pytest.mark.parametrize("time_steps", [0, -1, 63, 4.0, True, None, "4"])
def test_bad_time_steps_are_refused(time_steps):
    said = f"time_steps must be an integer from 1 to 62, not {time_steps!r}"
    for call in (
        lambda: encode(torch.tensor([1]), "csd", time_steps),
        lambda: step_weights("csd", time_steps),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            call()


@pytest.mark.parametrize("max_count", [0, 128, -7, 7.0, True])
def test_bad_max_count_is_refused(max_count):
    said = f"max_count must be an integer from 1 to 127, not {max_count!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        time_steps_for(max_count, "csd")


def test_spikes_outside_the_alphabet_are_refused():
    with pytest.raises(ValueError, match=r"^a spike must be from -1 to 1 \(csd\), not 2 at"):
        decode(torch.tensor([[0, 2]]), "csd")
    with pytest.raises(ValueError, match=r"^a spike must be from 0 to 1 \(binary\), not -1 at"):
        decode(torch.tensor([[0, -1]]), "binary")
    with pytest.raises(ValueError, match="^spikes must have time steps as their first"):
        decode(torch.tensor(1), "csd")
    with pytest.raises(ValueError, match="^time_steps must be an integer from 1 to 62, not 0$"):
        decode(torch.zeros(0, 3, dtype=torch.int8), "csd")
