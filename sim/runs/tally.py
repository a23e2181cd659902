"""What a run's instructions do, counted as they do it: spikes in each coding, beats, bytes."""

import copy
from collections.abc import Sequence

import numpy as np

from compiler.artifact.program import Compiled
from compiler.predict.counts import MULTIPLICATIONS, REQUANTIZER_MULTIPLICATIONS
from golden.numerics.codings import time_steps_for
from hw.contract.isa import (
    CHANNEL_WORDS,
    SLOT_BYTES,
    VECTOR_PASSES,
    VECTOR_UNARY,
    Coding,
    Opcode,
    VectorOp,
)
from hw.contract.params import GROUPS
from sim.functional.arithmetic import fired_groups, spikes
from sim.functional.machine import Observation

__all__ = ["Tally"]

_ELEMENT_BYTES = 4  # Q15.16
_NUMBERS = (
    "values", "encoded", "beats", "cache_bytes", "multiplications", "read_bytes", "scaled",
)  # fmt: skip


class Tally:
    """Observes a functional or cycle device, and counts.

    Parameters
    ----------
    compiled : Compiled
        What runs: its hardware, and where keys and values lie.

    Attributes
    ----------
    values : int
        Elements that were encoded as spikes, silent ones too.
    spikes : dict of str to int
        By coding, those of all values. The run's own coding is one of them.
    time_steps : dict of str to int
        By coding, the most that a value takes.
    encoded : int
        Elements that passed the encoder: values, and codes of keys and values.
    beats : int
        Of weights, that reached the array.
    cache_bytes : int
        Fetched of keys and values.
    weight_widths : set of int
        Bits of the weights, those of keys and values among them.
    multiplications : int
        Of the vector unit and the requantizer.
    scaled : int
        Accumulators of groups that passed the scaler.
    read_bytes : int
        By all instructions, and of them.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._params = compiled.params
        caches = compiled.of_kind("cache").values()
        self._caches = [range(region.address, region.address + region.bytes) for region in caches]
        self.values = self.encoded = self.beats = self.cache_bytes = 0
        self.multiplications = self.read_bytes = self.scaled = 0
        self.spikes = {coding.name.lower(): 0 for coding in Coding}
        self.time_steps = {coding.name.lower(): 0 for coding in Coding}
        self.weight_widths: set[int] = set()

    @staticmethod
    def total(tallies: Sequence["Tally"]) -> "Tally":
        """Return what devices that share a model do together, in a tally of its own."""
        whole = copy.deepcopy(tallies[0])
        for other in tallies[1:]:
            for name in _NUMBERS:
                setattr(whole, name, getattr(whole, name) + getattr(other, name))
            whole.weight_widths |= other.weight_widths
            for coding, number in other.spikes.items():
                whole.spikes[coding] += number
        return whole

    def __call__(self, seen: Observation) -> None:
        """Count an instruction."""
        self.read_bytes += SLOT_BYTES * (1 + seen.fields.get("layered", 0))  # and its record
        fields = seen.fields
        if seen.opcode is Opcode.ENCODE:
            self._encode(seen)
        elif seen.opcode is Opcode.MATMUL:
            self._matmul(seen)
        elif seen.opcode is Opcode.VECTOR:
            self._vector(VectorOp(fields["operation"]), fields["rows"] * fields["elements"])
        elif seen.opcode is Opcode.STORE:
            elements = fields["heads"] * fields["channels"]
            self.encoded += elements
            self.read_bytes += _ELEMENT_BYTES * elements

    def _encode(self, seen: Observation) -> None:
        self.values += seen.counts.size
        self.encoded += seen.counts.size
        self.read_bytes += _ELEMENT_BYTES * seen.counts.size
        for coding in Coding:
            name = coding.name.lower()
            self.spikes[name] += spikes(seen.counts, coding)
            shift = seen.fields["shifts"] + seen.fields["largest_exponent"]
            steps = time_steps_for(seen.fields["max_count"], name, shift)
            self.time_steps[name] = max(self.time_steps[name], steps)

    def _matmul(self, seen: Observation) -> None:
        params, fields = self._params, seen.fields
        tokens, events = seen.counts.shape
        if params.skip_silent:
            events = int(np.count_nonzero(seen.counts.any(axis=0)))
        width, outputs = fields["weight_width"], fields["outputs"]
        tiles = params.tiles(outputs)
        fetched = events * sum(params.row_bytes(size, width) for size in tiles)
        groups = self._groups(seen)
        self.scaled += groups * tokens * outputs
        bits = (1 << fields["scale_width_log2"]) << (fields["offsets"] != 0)
        fetched += groups * sum(params.scale_words(n, bits) for n in tiles) * params.axi_bytes
        words = len(CHANNEL_WORDS[bool(fields["has_bias"])])
        self.weight_widths.add(width)
        self.beats += events * sum(params.row_beats(size, width) for size in tiles)
        self.read_bytes += fetched + words * sum(map(params.vector_bytes, tiles))
        if any(fields["weights"] in cache for cache in self._caches):
            self.cache_bytes += fetched
        self.multiplications += REQUANTIZER_MULTIPLICATIONS * tokens * outputs

    def _groups(self, seen: Observation) -> int:
        """Return how many groups of the weights have an event."""
        if not seen.fields["group"]:
            return 0
        fires = seen.counts.any(axis=0) | (not self._params.skip_silent)
        return fired_groups(fires, GROUPS[seen.fields["group"] - 1])

    def _vector(self, operation: VectorOp, elements: int) -> None:
        reads = VECTOR_PASSES.get(operation, 1) + (operation not in VECTOR_UNARY)
        self.read_bytes += _ELEMENT_BYTES * reads * elements
        self.multiplications += MULTIPLICATIONS[operation] * elements
