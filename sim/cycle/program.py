"""A program's instructions as the model takes them, with what the data mean for their time."""

import ctypes

import numpy as np

from hw.contract.isa import (
    HEADER,
    SLOT_BYTES,
    VECTOR_PASSES,
    VECTOR_UNARY,
    Cache,
    Coding,
    Opcode,
    VectorOp,
)
from hw.contract.params import GROUPS, VECTOR_WIDTH, HwParams
from hw.spike.neuron import Neuron
from hw.spike.threshold import Threshold
from hw.vector.norm import squares_width
from sim.cycle import library as c
from sim.functional.machine import Observation

__all__ = ["Translator", "hardware"]

_MANTISSA_WIDTH = 16  # of a threshold as the requantizer takes it
_DIVIDER_BITS_A_CYCLE = 2


def hardware(params: HwParams) -> c.Params:
    """Return the dimensions and latencies of the hardware."""
    p = params
    return c.Params(
        **{name: getattr(p, name) for name, *_ in c.Params._fields_ if hasattr(p, name)},
        header_words=HEADER.size // p.axi_data_width,
        slot_words=8 * SLOT_BYTES // p.axi_data_width,
        threshold_latency=Threshold.latency(p),
        neuron_latency=Neuron.latency(p),
        mantissa_width=_MANTISSA_WIDTH,
        divide_latency=-(-squares_width(p) // _DIVIDER_BITS_A_CYCLE) + 2,
    )


class _Arrays:
    """Arrays that instructions point to, for as long as this is there."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []

    def pointer(self, values: object, kind: type):
        """Return a pointer to `values` as integers of `kind`."""
        array = np.ascontiguousarray(values, kind)
        self._kept.append(array)
        return array.ctypes.data_as(ctypes.POINTER(kind))


class _Batch(_Arrays):
    """What an ENCODE left behind: the events, and each coding's trains once a MATMUL asks."""

    def __init__(self, params: HwParams, counts: np.ndarray) -> None:
        super().__init__()
        self._params = params
        self.events = _events(params, counts)
        self._counts = counts[:, self.events]
        self._trains: dict[Coding, tuple] = {}

    def train(self, coding: Coding) -> tuple:
        """Return pointers to each event's steps, and to its spikes."""
        if coding not in self._trains:
            steps, spikes = _train(self._params, self._counts, coding)
            self._trains[coding] = (
                self.pointer(steps, ctypes.c_uint16),
                self.pointer(spikes, ctypes.c_uint32),
            )
        return self._trains[coding]


class Translator:
    """Turns one instruction after the other into the model's.

    What they point to stays until `forget`, and what the last ENCODE's points to longer.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = params
        self._arrays = _Arrays()
        self._batches: list[_Batch] = []
        self._fill = {
            Opcode.ENCODE: self._encode,
            Opcode.MATMUL: self._matmul,
            Opcode.VECTOR: self._vector,
            Opcode.STORE: self._store,
            Opcode.TOKEN: self._token,
        }

    def instruction(self, seen: Observation) -> c.Instruction:
        """Return it for the model."""
        slot = c.Instruction(opcode=seen.opcode.value)
        fill = self._fill.get(seen.opcode)
        for name, value in seen.fields.items():
            if hasattr(slot, name):
                setattr(slot, name, value)
        if fill is not None:
            fill(slot, seen)
        return slot

    def forget(self) -> None:
        """Give back what only instructions before a TOKEN that has been executed need."""
        self._arrays = _Arrays()
        del self._batches[:-1]

    def _encode(self, slot: c.Instruction, seen: Observation) -> None:
        batch = _Batch(self._params, seen.counts)
        self._batches.append(batch)
        words = -(-slot.channels // self._params.scan_width)
        starts = np.arange(words + 1) * self._params.scan_width
        slot.threshold_widths = _widths(batch, seen)
        slot.event_channels = batch.pointer(batch.events, ctypes.c_uint32)
        slot.first_events = batch.pointer(np.searchsorted(batch.events, starts), ctypes.c_uint32)

    def _matmul(self, slot: c.Instruction, seen: Observation) -> None:
        outputs, width = seen.fields["outputs"], seen.fields["weight_width"]
        sizes = self._params.tiles(outputs)
        slot.tiles = len(sizes)
        group, scale_bits = seen.fields.get("group", 0), VECTOR_WIDTH
        if group:
            scale_bits = (1 << seen.fields["scale_width_log2"]) << (seen.fields["offsets"] != 0)
        slot.full = _extent(self._params, self._params.tile_outputs, width, scale_bits)
        slot.last = _extent(self._params, sizes[-1], width, scale_bits)
        slot.group_channels = (0, *GROUPS)[group]
        slot.scale_parts = VECTOR_WIDTH // scale_bits
        slot.steps, slot.spikes = self._batches[-1].train(Coding(seen.fields["coding"]))

    def _vector(self, slot: c.Instruction, seen: Observation) -> None:
        fields = seen.fields
        slot.a += fields["a_by_token"] * seen.token * slot.stride
        slot.b += fields["b_by_position"] * seen.position * slot.stride
        operation = VectorOp(slot.operation)
        slot.passes = VECTOR_PASSES.get(operation, 1)
        slot.binary = operation not in VECTOR_UNARY
        if operation is VectorOp.ARGMAX:
            slot.destination += 4 * (seen.position + 1)
        slot.row_shifts = self._arrays.pointer(seen.shifts, ctypes.c_uint8)

    def _store(self, slot: c.Instruction, seen: Observation) -> None:
        p, position = self._params, seen.position
        slot.tokens = seen.fields["heads"]
        slot.threshold_widths = _widths(self._arrays, seen)
        slot.values = seen.fields["cache"] == Cache.VALUE.value
        slot.scales += 4 * position
        if slot.values:
            slot.codes += position * p.row_bytes(slot.channels, 8)
        else:
            tile, column = divmod(position, p.tile_outputs)
            slot.codes += tile * slot.channels * p.tile_outputs + column

    def _token(self, slot: c.Instruction, seen: Observation) -> None:
        slot.records, slot.tokens = seen.fields["tokens"], 0
        slot.ends = seen.ends


def _widths(arrays: _Arrays, seen: Observation):
    return arrays.pointer([v.bit_length() for v in seen.thresholds], ctypes.c_uint8)


def _extent(params: HwParams, outputs: int, weight_width: int, scale_bits: int) -> c.Extent:
    return c.Extent(
        outputs,
        params.row_words(outputs, weight_width),
        params.row_beats(outputs, weight_width),
        params.scale_words(outputs, scale_bits),
    )


def _events(params: HwParams, counts: np.ndarray) -> np.ndarray:
    """Return the channels that the event queue hands on."""
    if params.skip_silent:
        return np.flatnonzero(counts.any(axis=0))
    return np.arange(counts.shape[1])


def _train(params: HwParams, counts: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Return each event's steps, and its spikes in all of them, (events,)."""
    magnitudes = np.abs(counts).astype(np.uint32)
    if params.array == "mac":
        return np.ones(counts.shape[1]), (magnitudes != 0).sum(axis=0)
    if coding is Coding.UNARY:
        steps, spikes = magnitudes.max(axis=0), magnitudes.sum(axis=0)
    else:
        # n and 3n differ exactly where the non-adjacent form of n has a digit, one place higher.
        digits = magnitudes ^ 3 * magnitudes if coding is Coding.CSD else magnitudes
        steps = np.bitwise_count(np.bitwise_or.reduce(digits, axis=0))
        spikes = np.bitwise_count(digits).sum(axis=0)
    return np.maximum(steps, 1), spikes
