"""The interconnect between devices, simulated: there is no RTL of one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.artifact.program import Compiled

__all__ = ["Interconnect", "Link"]

_ELEMENT_BYTES = 4
_CANDIDATE_BYTES = 8
"""A logit and the number of its token."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What an exchange is assumed to cost; neither figure is measured.

    Attributes
    ----------
    bytes_per_cycle : int
        That each device can take in, whoever they are from, while it gives out its own.
    latency : int
        Cycles from the last device's END to the first byte.

    Raises
    ------
    ValueError
        Where a figure is out of its range.
    """

    bytes_per_cycle: int = 4
    latency: int = 100

    def __post_init__(self) -> None:
        if self.bytes_per_cycle < 1:
            raise ValueError(f"link bytes must be at least 1, not {self.bytes_per_cycle}")
        if self.latency < 0:
            raise ValueError(f"link latency must be at least 0, not {self.latency}")

    def cycles(self, received_bytes: int) -> int:
        """Return how long an exchange takes in which the busiest device takes in so many bytes."""
        return self.latency + -(-received_bytes // self.bytes_per_cycle)


class Interconnect:
    """Moves bytes between the memories of devices, and counts them.

    Parameters
    ----------
    shards : sequence of Compiled
        What each device runs.
    memories : sequence of ndarray of uint8
        Their memory images, changed in place.
    link : Link
        What it costs.

    Attributes
    ----------
    received : list of int
        Bytes that each device has taken in.
    cycles : int
        Of all exchanges, by `link`.
    count : int
        How many there were.
    """

    def __init__(
        self, shards: Sequence[Compiled], memories: Sequence[np.ndarray], link: Link
    ) -> None:
        self._shards, self._memories, self._link = shards, memories, link
        self.received = [0] * len(shards)
        self.cycles = self.count = 0

    def gather(self, name: str) -> None:
        """Complete a vector everywhere: each device's own elements go to all the others."""
        parts = [shard.part(name) for shard in self._shards]
        made = [self._elements(at, name)[part.start : part.stop] for at, part in enumerate(parts)]
        for to in range(len(self._shards)):
            vector = self._elements(to, name)
            for of, (part, elements) in enumerate(zip(parts, made, strict=True)):
                if of != to:
                    vector[part.start : part.stop] = elements
        self._count([_ELEMENT_BYTES * len(part) for part in parts])

    def elect(self, position: int) -> int:
        """Put the likeliest token of all at the position after; returns it.

        Each device has put that of its own rows there. Of equal logits the lowest row's wins, as
        numerics, section 8, has it of one device.
        """
        best = None
        for at, (shard, memory) in enumerate(zip(self._shards, self._memories, strict=True)):
            own = int(shard.token_words(memory)[position + 1])
            logit = int(self._elements(at, "logits")[own])
            if best is None or logit > best[0]:
                best = logit, shard.part("logits").start + own
        assert best is not None  # there is a device
        for shard, memory in zip(self._shards, self._memories, strict=True):
            shard.token_words(memory)[position + 1] = best[1]
        self._count([_CANDIDATE_BYTES] * len(self._shards))
        return best[1]

    def _elements(self, at: int, name: str) -> np.ndarray:
        region = self._shards[at].regions[name]
        raw = self._memories[at][region.address : region.address + region.bytes]
        return raw.view("<i4")[: region.channels]

    def _count(self, sent: list[int]) -> None:
        received = [sum(sent) - own for own in sent]
        self.received = [a + b for a, b in zip(self.received, received, strict=True)]
        self.cycles += self._link.cycles(max(received))
        self.count += 1
