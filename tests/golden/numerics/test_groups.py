"""Weights in groups against section 4, and their sums against section 5, in Python numbers."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.accumulation import accumulate_groups, grouped_sums
from golden.numerics.groups import GridRows, GroupedWeight, group_rows

SEEDS = st.integers(0, 1 << 30)
FORMS = st.sampled_from(["none", "z", "m"])


def drawn(seed: int, form: str, group: int = 16, bits: int = 4, spread: int = 6) -> GridRows:
    """Return a grid of 3 rows and 4 groups with scales of fp16 over some binades."""
    rng = np.random.default_rng(seed)

    def halves():
        values = rng.standard_normal((3, 4)) * 2.0 ** rng.integers(-spread, 1, (3, 4))
        return torch.from_numpy(values.astype(np.float16).astype(np.float64))

    half = 1 << bits - 1
    return GridRows(
        codes=torch.from_numpy(rng.integers(-half, half, (3, 4 * group)).astype(np.int8)),
        d=halves(),
        z=torch.from_numpy(rng.integers(-8, 9, (3, 4)).astype(np.float64)) if form == "z" else None,
        m=4 * halves() if form == "m" else None,
        group=group,
        bits=bits,
        offset_shift=3 if form == "m" else 0,
    )


def real(grid: GridRows, n: int, k: int) -> Fraction:
    """Return a weight of a grid."""
    g = k // grid.group
    z = 0 if grid.z is None else int(grid.z[n, g])
    m = 0 if grid.m is None else Fraction(float(grid.m[n, g]))
    return Fraction(float(grid.d[n, g])) * (int(grid.codes[n, k]) + z) + m


def held(weight: GroupedWeight, n: int, k: int) -> Fraction:
    """Return a weight as section 4 has it."""
    g = k // weight.group
    z = 0 if weight.z is None else int(weight.z[n, g])
    m = 0 if weight.m is None else int(weight.m[n, g]) << weight.offset_shift
    integer = int(weight.d[n, g]) * (int(weight.codes[n, k]) + z) + m
    return Fraction(integer * int(weight.mantissa[n])) / 2 ** int(weight.exponent[n])


@given(SEEDS, FORMS, st.sampled_from([4, 8]), st.integers(0, 12))
def test_sixteen_bits_are_exact_or_rounded_half_away(seed, form, bits, spread):
    grid = drawn(seed, form, bits=bits, spread=spread)
    weight = group_rows(grid)
    assert (weight.mantissa == 1 << 15).all() and (
        (8 <= weight.exponent) & (weight.exponent <= 71)
    ).all()
    limit = (1 << 16) - 1 if form != "none" else (1 << 15) - 1
    assert weight.d.max() <= limit and weight.d.min() >= (0 if form != "none" else -limit)
    for n in range(3):
        unit = Fraction(1, 2 ** (int(weight.exponent[n]) - 15))
        scales = [abs(Fraction(float(d))) for d in grid.d[n]]
        parts = scales + (
            [] if weight.m is None else [Fraction(float(m)) / 8 for m in moved_offsets(grid, n)]
        )
        exact = all((part / unit).denominator == 1 for part in parts)
        for k in range(0, 64, 7):
            want, got = real(grid, n, k), held(weight, n, k)
            if exact:
                assert got == want
            else:  # half a unit for each of the code's steps, and 8 halves for m
                reach = abs(int(weight.codes[n, k])) + (0 if weight.z is None else 16) + 8
                assert abs(got - want) <= unit / 2 * reach
        if not exact:  # no finer unit holds them
            limits = [limit] * len(scales) + [(1 << 15) - 1] * (len(parts) - len(scales))
            assert any(
                abs(p / unit * 2) + Fraction(1, 2) > most
                for p, most in zip(parts, limits, strict=True)
            )


def moved_offsets(grid: GridRows, n: int) -> list[float]:
    """Return m where no d is negative."""
    return [float(m) + max(0.0, -float(d)) for m, d in zip(grid.m[n], grid.d[n], strict=True)]


@given(SEEDS, FORMS)
def test_weights_are_what_the_integers_say(seed, form):
    for bits in (16, 8):
        weight = group_rows(drawn(seed, form), bits)
        got = weight.weights()
        for n, k in ((0, 0), (1, 17), (2, 63)):
            assert Fraction(float(got[n, k])) == held(weight, n, k)
        part = weight.rows(1, 3)
        assert torch.equal(part.weights(), got[1:3])


@given(SEEDS, FORMS)
def test_the_compact_form_is_close(seed, form):
    grid = drawn(seed, form, spread=2)
    weight = group_rows(grid, 8)
    assert weight.d.max() <= (255 if form != "none" else 127)
    assert ((1 << 15 <= weight.mantissa) & (weight.mantissa < 1 << 16)).all()
    if weight.m is not None:
        assert weight.m.abs().max() <= 127
    error = (weight.weights() - grid.weights()).square().sum(dim=1).sqrt()
    assert (error <= 0.03 * grid.weights().square().sum(dim=1).sqrt() + 1e-9).all()


def test_exact_weights_of_a_known_group():
    grid = GridRows(
        codes=torch.tensor([[-8, 7] * 8], dtype=torch.int8),
        d=torch.tensor([[0.75]]).double(),
        z=None,
        m=torch.tensor([[-2.0]]).double(),
        group=16,
        bits=4,
        offset_shift=3,
    )
    weight = group_rows(grid)
    assert (weight.d.item(), weight.m.item(), weight.exponent.item()) == (3, -1, 17)
    assert weight.weights()[0, :2].tolist() == [-8.0, 3.25]


def test_a_negative_scale_turns_its_codes():
    grid = drawn(5, "z")
    grid.d[:] = -grid.d.abs()
    weight = group_rows(grid)
    assert torch.equal(weight.codes, -1 - grid.codes) and torch.equal(
        weight.weights(), grid.weights()
    )


@given(SEEDS, FORMS, st.booleans())
def test_sums_by_group_are_the_sums_of_integers(seed, form, wide):
    weight = group_rows(drawn(seed, form))
    generator = torch.Generator().manual_seed(seed)
    high = 127 * 64 if wide else 127
    counts = torch.randint(-high, high + 1, (5, 64), generator=generator).to(torch.int16)
    p, s = grouped_sums(counts, weight)
    total = torch.zeros(5, 3, dtype=torch.int64)
    for g in range(4):
        z = 0 if weight.z is None else weight.z[:, g].long()
        m = 0 if weight.m is None else weight.m[:, g].long() << weight.offset_shift
        total += weight.d[:, g].long() * (p[:, g] + z * s[:, g, None]) + m * s[:, g, None]
    got = accumulate_groups(counts, weight)
    assert torch.equal(got, total)
    want = [
        sum(int(a) * int(w) for a, w in zip(counts[0], weight.integers()[n], strict=True))
        for n in range(3)
    ]
    assert got[0].tolist() == want


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("d", float("nan"), "a group's scale must be finite, not nan in output channel 8, group 2"),
        (
            "m",
            float("inf"),
            "a group's offset must be finite, not inf in output channel 8, group 2",
        ),
        ("d", 2.0**23, "a group's scale must be below 2^23, not 8.38861e+06 in output channel 8"),
    ],
)
def test_what_no_integer_holds_is_refused(name, value, said):
    grid = drawn(1, "m")
    getattr(grid, name)[1, 2] = value
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        group_rows(grid, first_channel=7)


def test_scales_have_sixteen_bits_or_eight():
    with pytest.raises(ValueError, match="^scale_bits must be 16 or 8, not 12$"):
        group_rows(drawn(1, "m"), 12)


def test_a_row_of_nothing_is_nothing():
    grid = drawn(1, "m")
    grid.d[1] = 0
    grid.m[1] = 0
    for bits in (16, 8):
        assert not group_rows(grid, bits).weights()[1].any()


def test_rows_whose_sums_could_overflow_are_refused():
    grid = GridRows(
        codes=torch.full((2, 1 << 13), -128, dtype=torch.int8),
        d=torch.full((2, 1 << 9), 32767.0).double(),
        z=None,
        m=None,
        group=16,
        bits=8,
    )
    grid.codes[0] = 1
    said = "in output channel 5: choose scale_bits = 8"
    with pytest.raises(ValueError, match=f"^weights must add up to less than 2\\^34 .* {said}$"):
        group_rows(grid, first_channel=4)
    assert group_rows(grid, 8).d.max() <= 127  # finds room
