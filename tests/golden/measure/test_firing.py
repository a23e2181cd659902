"""Firing statistics against loops over the counts."""

import pytest
import torch

from golden.measure.firing import FiringStatistics
from golden.numerics.codings import CODINGS, encode, time_steps_for
from golden.numerics.neuron import Encoded, Site, fire, threshold

CLIPPING = Site("absmax", 15, 64, 15)  # a quarter of the range: most of it is clipped


def encoded(seed: int, site: Site = CLIPPING, tokens: int = 5) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-(1 << 20), 1 << 20, (tokens, 40), generator=generator, dtype=torch.int32)
    x[:, ::4] >>= 8
    v = threshold(x, site)
    return Encoded(x, v, fire(x, v, site), site)


def test_statistics_are_those_of_a_loop(seed):
    batches = [encoded(seed), encoded(seed + 1)]
    statistics = FiringStatistics(15)
    for batch in batches:
        statistics.add(batch)
    counts = [n for batch in batches for n in batch.counts.flatten().tolist()]
    found = statistics.as_dict()
    assert found["values"] == len(counts) == 400
    assert found["histogram"] == [sum(abs(n) == level for n in counts) for level in range(16)]
    assert found["silent_fraction"] == counts.count(0) / 400
    for coding in CODINGS:
        spikes = encode(torch.tensor(counts), coding, time_steps_for(15, coding))
        assert found["spikes_per_value"][coding] == int(spikes.count_nonzero()) / 400
    over = sum(
        2 * abs(x) * 2**24 >= (2 * 15 + 1) * int(v)
        for batch in batches
        for row, v in zip(batch.x.tolist(), batch.v, strict=True)
        for x in row
    )
    assert 0 < over < 400
    assert found["clipped_fraction"] == over / 400


def test_absmax_without_a_clip_clips_nothing(seed):
    statistics = FiringStatistics(127)
    statistics.add(encoded(seed, Site("absmax", 127, 256, 127)))
    assert statistics.clipped == 0


def test_totals_line_up_different_largest_counts(seed):
    small, large = FiringStatistics(15), FiringStatistics(127)
    small.add(encoded(seed))
    large.add(encoded(seed, Site("absmax", 127, 256, 127)))
    total = FiringStatistics.total([small, large])
    padded = small.histogram() + [0] * 112
    assert total.histogram() == [a + b for a, b in zip(padded, large.histogram(), strict=True)]
    assert total.clipped == small.clipped
    for coding in ("unary", "bitwise", "csd"):
        assert total.spikes(coding) == small.spikes(coding) + large.spikes(coding)


@pytest.mark.parametrize("max_count", [1, 127])
def test_statistics_of_nothing(max_count):
    assert FiringStatistics(max_count).as_dict()["silent_fraction"] == 0


def test_elements_that_are_not_there_do_not_count(seed):
    part, whole, batch = FiringStatistics(15), FiringStatistics(15), encoded(seed)
    there = torch.zeros_like(batch.counts, dtype=torch.bool)
    there[:, ::3] = True
    part.add(batch, there)
    batch = Encoded(batch.x[:, ::3], batch.v, batch.counts[:, ::3], batch.site)
    whole.add(batch)
    assert torch.equal(part.counts, whole.counts) and part.clipped == whole.clipped > 0
