"""How a site fires: statistics of its spike counts over many tokens."""

from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor

from golden.numerics.codings import CODINGS, encode, time_steps_for
from golden.numerics.neuron import Encoded, spike_potential

__all__ = ["FiringStatistics"]


class FiringStatistics:
    """Counts of one site, added up batch by batch.

    Parameters
    ----------
    max_count : int
        Largest spike count D of the site.

    Attributes
    ----------
    counts : Tensor
        How often each signed count occurred, int64, (2 D + 1,), that of -D first.
    clipped : int
        Values whose potential held more than D thresholds.
    """

    def __init__(self, max_count: int) -> None:
        self.max_count = max_count
        self.counts = torch.zeros(2 * max_count + 1, dtype=torch.int64)
        self.clipped = 0

    @classmethod
    def of(cls, counts: Tensor) -> "FiringStatistics":
        """Take up `counts` as another one had them; what was clipped is not in them."""
        found = cls(len(counts) // 2)
        found.counts += counts
        return found

    def add(self, encoded: Encoded, there: Tensor | None = None) -> None:
        """Take in a batch of encoded vectors, or those of their elements where `there` is set."""
        offset = encoded.counts.long() + self.max_count
        clipped = spike_potential(encoded.x, encoded.thresholds) > self.max_count
        if there is not None:
            offset, clipped = offset[there], clipped[there]
        self.counts += torch.bincount(offset.flatten(), minlength=len(self.counts))
        self.clipped += int(clipped.sum())

    @property
    def values(self) -> int:
        """Vector elements seen."""
        return int(self.counts.sum())

    def spikes(self, coding: str) -> int:
        """Return how many spikes the counts make in a coding, over all time steps."""
        return int((self.counts * _spikes_by_count(self.max_count, coding)).sum())

    def histogram(self) -> list[int]:
        """Return how often each magnitude |n| occurred, from 0 to D."""
        d = self.max_count
        magnitudes = self.counts[d:].clone()
        magnitudes[1:] += self.counts[:d].flip(0)
        return magnitudes.tolist()

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        values = max(1, self.values)
        histogram = self.histogram()
        return {
            "values": self.values,
            "spikes_per_value": {coding: self.spikes(coding) / values for coding in CODINGS},
            "silent_fraction": histogram[0] / values,
            "clipped_fraction": self.clipped / values,
            "histogram": histogram,
        }

    @classmethod
    def total(cls, parts: Iterable["FiringStatistics"]) -> "FiringStatistics":
        """Add up sites, which may differ in D; spikes of `binary` are those of the largest D."""
        parts = list(parts)
        total = cls(max(part.max_count for part in parts))
        for part in parts:
            margin = total.max_count - part.max_count
            total.counts[margin : len(total.counts) - margin] += part.counts
            total.clipped += part.clipped
        return total


@cache
def _spikes_by_count(max_count: int, coding: str) -> Tensor:
    """Spikes of each count from -D to D, int64, (2 D + 1,)."""
    counts = torch.arange(-max_count, max_count + 1)
    return encode(counts, coding, time_steps_for(max_count, coding)).ne(0).sum(dim=0)
