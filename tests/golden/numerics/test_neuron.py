"""Thresholds and counts against section 2 in Python integers, and against real arithmetic."""

import math
import re
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from golden.numerics.neuron import (
    Site,
    encode_vectors,
    fire,
    fire_neuron,
    group_shifts,
    quantile_dead_zone,
    spike_potential,
    threshold,
)

F = 24
LOW, HIGH = -(1 << 31), (1 << 31) - 1


def potential(x: list[int], site: Site) -> int:
    magnitudes = [abs(value) for value in x]
    return {"absmax": max(magnitudes), "mean": sum(magnitudes), "static": site.peak}[site.rule]


def threshold_of(x: list[int], site: Site) -> int:
    v = potential(x, site) * site.multiplier * 2 ** (F - 8) // (site.divisor * 2**site.shifts)
    return min(max(2 ** (F - site.shifts), v), 2**56 - 1)


def shifts_of(x: list[int], site: Site) -> list[int]:
    """Section 2's s of each channel's group."""
    a, found = potential(x, site), []
    for k in range(len(x)):
        loudest = max(abs(value) for value in x[k // 32 * 32 : k // 32 * 32 + 32])
        fitting = [s for s in range(site.shifts) if loudest * 2 ** (site.shifts - s) <= a]
        found.append(min(fitting, default=site.shifts))
    return found


def count_of(x: int, v: int, site: Site) -> int:
    if abs(x) < site.dead_zone:
        return 0
    count = min(site.max_count, (abs(x) * 2 ** (F + 1) + v) // (2 * v))
    return count if x >= 0 else -count


def count_real(x: int, a: int, site: Site) -> int:
    """Return the count by rational numbers, with no fixed number of fraction bits."""
    if abs(x) < site.dead_zone:
        return 0
    v_th = max(Fraction(1), Fraction(a * site.multiplier, 256 * site.divisor))
    count = min(site.max_count, math.floor(abs(x) / v_th + Fraction(1, 2)))
    return count if x >= 0 else -count


elements = (
    st.integers(LOW, HIGH)
    | st.integers(-300, 300)
    | st.integers(-(1 << 20), 1 << 20)
    | st.sampled_from([LOW, HIGH, 0, 1, -1])
)
dead_zones = st.just(0) | st.integers(0, 400) | st.integers(0, 1 << 31)


@st.composite
def sites(draw, rule):
    max_count = draw(st.integers(1, 127))
    multiplier = 256 if rule == "mean" else draw(st.just(256) | st.integers(1, 256))
    divisors = st.integers(1, 1 << 12) | st.integers(1, (1 << 24) - 1)
    divisor = draw(divisors) if rule == "mean" else max_count
    peaks = st.integers(0, 1 << 31) | st.integers(0, 5000)
    peak = draw(peaks) if rule == "static" else 0
    shifts = 0 if rule == "mean" else draw(st.integers(0, 3))
    return Site(rule, max_count, multiplier, divisor, peak, draw(dead_zones), shifts)


@st.composite
def tokens(draw, rules=("absmax", "mean", "static")):
    """Vectors and a site; some elements lie where a count changes, and where the dead zone ends."""
    site = draw(sites(draw(st.sampled_from(rules))))
    channels = draw(st.integers(1, 12) | st.integers(30, 70))
    x = draw(st.lists(elements, min_size=channels, max_size=channels))
    v = threshold_of(x, site)
    # Smaller than the largest, or absmax would move; where the sum moves, so be it.
    limit = max(abs(value) for value in x)
    for k in range(draw(st.integers(0, channels))):
        spikes = draw(st.integers(1, site.max_count + 1))
        boundary = (2 * spikes - 1) * v >> F + 1
        edge = draw(st.sampled_from([boundary, boundary + 1, site.dead_zone, site.dead_zone - 1]))
        if edge < limit and abs(x[k]) < limit:
            x[k] = draw(st.sampled_from([edge, -edge]))
    return torch.tensor([x], dtype=torch.int32), site


@given(tokens())
def test_threshold_is_section_2(case):
    x, site = case
    assert threshold(x, site).tolist() == [threshold_of(x[0].tolist(), site)]


@given(tokens())
def test_fire_is_section_2(case):
    x, site = case
    v = threshold(x, site)
    counts = fire(x, v, site)
    assert counts.dtype == torch.int8
    values = x[0].tolist()
    assert counts[0].tolist() == [
        count_of(value, int(v) << s, site)
        for value, s in zip(values, shifts_of(values, site), strict=True)
    ]


@given(tokens(), st.integers(0, 100))
def test_spikes_weigh_what_group_and_channel_say(case, seed):
    x, site = case
    e = torch.randint(0, 4, x.shape[1:], generator=torch.Generator().manual_seed(seed)).to(
        torch.int8
    )
    for exponents in (None, e):
        found = encode_vectors(x, site, exponents=exponents)
        by_channel = shifts_of(x[0].tolist(), site)
        if exponents is not None:
            by_channel = [s + k for s, k in zip(by_channel, e.tolist(), strict=True)]
        stored = [0] * x.shape[1] if found.shifts is None else found.shifts[0].tolist()
        assert stored == by_channel
        assert found.spikes[0].tolist() == [
            int(n) << h for n, h in zip(found.counts[0], by_channel, strict=True)
        ]


def test_a_quiet_group_has_finer_thresholds():
    loud, half, quiet = [1016] + [8] * 31, [508] * 32, [127, 126, 0, -2] * 8
    x = torch.tensor([loud + half + quiet], dtype=torch.int32)
    found = encode_vectors(x, Site("absmax", 127, 256, 127, shifts=3))
    assert found.v.tolist() == [1 << 24]  # one lsb: 1016 / 127 / 8
    assert group_shifts(x, found.site).tolist() == [[3, 2, 0]]
    counts = found.counts[0].tolist()
    assert counts == [127] + [1] * 31 + [127] * 32 + [127, 126, 0, -2] * 8
    assert found.spikes[0, :34].tolist() == [1016] + [8] * 31 + [508] * 2


def test_the_coarsest_threshold_is_at_least_one_lsb():
    x = torch.tensor([[9, 1] + [0] * 30 + [1] * 32], dtype=torch.int32)
    found = encode_vectors(x, Site("absmax", 127, 256, 127, shifts=3))
    assert found.v.tolist() == [1 << 21]
    assert found.spikes.tolist() == [[72, 8] + [0] * 30 + [8] * 32]  # eighths of an lsb


@given(tokens())
def test_integrate_and_fire_finds_the_same_counts(case):
    x, site = case
    v = threshold(x, site)
    assert torch.equal(fire_neuron(x, v, site), fire(x, v, site))


@given(tokens())
def test_counts_are_those_of_real_arithmetic(case):
    x, site = case
    a = potential(x[0].tolist(), site)
    scale = 1 if site.rule == "mean" else 256
    assume(not site.shifts and (2 * site.max_count - 1) * scale * site.divisor <= 2**F)
    assume(threshold_of(x[0].tolist(), site) < 2**56 - 1)
    counts = fire(x, threshold(x, site), site)
    assert counts[0].tolist() == [count_real(value, a, site) for value in x[0].tolist()]


def test_thresholds_saturate_and_never_fall_below_one_lsb():
    mean = Site("mean", 127, 256, 1)
    x = torch.tensor([[LOW] * 3, [0] * 3, [LOW, LOW, 0]], dtype=torch.int32)
    assert threshold(x, mean).tolist() == [2**56 - 1, 2**24, 2**56 - 1]
    assert threshold(torch.tensor([[HIGH, LOW + 1]], dtype=torch.int32), mean).tolist() == [
        (2**32 - 2) << 24
    ]
    absmax = Site("absmax", 1, 256, 1)
    assert threshold(x, absmax).tolist() == [2**55, 2**24, 2**55]


@pytest.mark.parametrize("max_count", [1, 7, 127])
def test_absmax_spends_all_spikes_on_the_largest(max_count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(LOW, HIGH, (16, 40), generator=generator, dtype=torch.int32)
    x[3] = 0
    site = Site("absmax", max_count, 256, max_count)
    counts = fire(x, threshold(x, site), site).long()
    peaks = counts.abs().amax(dim=1)
    assert peaks.tolist() == [max_count] * 3 + [0] + [max_count] * 12
    assert (counts * x >= 0).all()


def test_a_membrane_exactly_at_threshold_fires():
    x = torch.tensor([[254, 1, 3, -3, 251, 253, -253, 2]], dtype=torch.int32)
    site = Site("absmax", 127, 256, 127)  # v_th is 2 lsb: every odd magnitude is half-way
    v = threshold(x, site)
    for counts in (fire(x, v, site), fire_neuron(x, v, site)):
        assert counts.tolist() == [[127, 1, 2, -2, 126, 127, -127, 1]]


def test_clip_reaches_the_largest_count_earlier():
    x = torch.tensor([[1000, 501, 500, 250, -250, -1000]], dtype=torch.int32)
    site = Site("absmax", 4, 128, 4)  # one spike per 125 lsb
    assert fire(x, threshold(x, site), site).tolist() == [[4, 4, 4, 2, -2, -4]]
    assert spike_potential(x, threshold(x, site)[:, None]).tolist() == [[8, 4, 4, 2, 2, 8]]


def test_dead_zone_begins_below_its_value():
    x = torch.tensor([[100, 60, 59, -60, -59, LOW]], dtype=torch.int32)
    site = Site("static", 127, 256, 127, peak=127 * 10, dead_zone=60)
    assert fire(x, threshold(x, site), site).tolist() == [[10, 6, 0, -6, 0, -127]]
    everything = Site("static", 127, 256, 127, peak=127, dead_zone=1 << 31)
    assert fire(x, threshold(x, everything), everything).tolist() == [[0, 0, 0, 0, 0, -127]]


@given(
    st.lists(st.integers(LOW, HIGH), min_size=1, max_size=30, unique_by=abs),
    st.integers(0, 99),
)
def test_quantile_silences_its_share_of_distinct_magnitudes(values, percent):
    x = torch.tensor([values], dtype=torch.int32)
    quantile = percent / 100
    zone = quantile_dead_zone(x, quantile)
    silent = sum(abs(value) < int(zone) for value in values)
    assert silent == int(quantile * len(values))


def test_quantile_is_each_tokens_own_and_reaches_the_counts():
    x = torch.tensor([[4, 3, 2, 1], [40, -30, 20, -10]], dtype=torch.int32)
    site = Site("absmax", 4, 256, 4)
    zone = quantile_dead_zone(x, 0.5)
    assert zone.tolist() == [3, 30]
    assert fire(x, threshold(x, site), site, zone).tolist() == [[4, 3, 0, 0], [4, -3, 0, 0]]
    with pytest.raises(ValueError, match=r"^quantile must be at least 0 and below 1, not 1$"):
        quantile_dead_zone(x, 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rule": "max"}, "rule must be one of absmax, mean, static, not 'max'"),
        ({"max_count": 0}, "max_count must be an integer from 1 to 127, not 0"),
        ({"max_count": 128}, "max_count must be an integer from 1 to 127, not 128"),
        ({"max_count": 7.0}, "max_count must be an integer from 1 to 127, not 7.0"),
        ({"multiplier": 0}, "multiplier must be an integer from 1 to 256, not 0"),
        ({"multiplier": 257}, "multiplier must be an integer from 1 to 256, not 257"),
        ({"divisor": 0}, "divisor must be an integer from 1 to 16777215, not 0"),
        ({"divisor": 1 << 24}, "divisor must be an integer from 1 to 16777215, not 16777216"),
        ({"divisor": 8}, "divisor must be max_count = 7 for the absmax rule, not 8"),
        ({"peak": -1}, "peak must be an integer from 0 to 2147483648, not -1"),
        (
            {"dead_zone": (1 << 31) + 1},
            "dead_zone must be an integer from 0 to 2147483648, not 2147483649",
        ),
        ({"shifts": 4}, "shifts must be an integer from 0 to 3, not 4"),
        (
            {"rule": "mean", "multiplier": 256, "shifts": 1},
            "shifts must be 0 for the mean rule, not 1",
        ),
        ({"rule": "mean", "multiplier": 255}, "multiplier must be 256 for the mean rule, not 255"),
    ],
)
def test_a_site_out_of_range_is_refused(fields, said):
    valid = {"rule": "absmax", "max_count": 7, "multiplier": 256, "divisor": 7}
    Site(**valid)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Site(**(valid | fields))


def test_vectors_must_be_int32_matrices():
    site = Site("absmax", 7, 256, 7)
    with pytest.raises(ValueError, match=r"^x must be int32 \(Q15.16\), not torch.float32$"):
        threshold(torch.zeros(1, 2), site)
    with pytest.raises(ValueError, match=r"^x must be \(tokens, channels\), not of shape \(2,\)$"):
        threshold(torch.zeros(2, dtype=torch.int32), site)
