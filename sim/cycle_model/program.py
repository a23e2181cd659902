"""A program as the model takes it: its instructions, and what the data mean for their time."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hw.isa import HEADER, SLOT_BYTES, Coding, Opcode
from hw.neuron import Neuron
from hw.params import HwParams
from hw.threshold import Threshold
from sim.cycle_model import library as c

__all__ = ["Batch", "Program", "hardware", "program"]

_MANTISSA_WIDTH = 16  # of a threshold as the requantizer takes it


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What an ENCODE finds.

    Attributes
    ----------
    counts : ndarray
        Spike counts, (tokens, channels), integers.
    thresholds : sequence of int
        V of each token.
    """

    counts: np.ndarray
    thresholds: Sequence[int]


@dataclass
class Program:
    """Instructions for the model, and the arrays that they point to."""

    slots: ctypes.Array
    arrays: list[np.ndarray] = field(default_factory=list)

    def keep(self, values: np.ndarray, kind: type):
        """Return a pointer to `values` as integers of `kind`."""
        array = np.ascontiguousarray(values, kind)
        self.arrays.append(array)
        return array.ctypes.data_as(ctypes.POINTER(kind))


def hardware(params: HwParams) -> c.Params:
    """Return the dimensions and latencies of the hardware."""
    p = params
    return c.Params(
        **{name: getattr(p, name) for name, _ in c.Params._fields_ if hasattr(p, name)},
        header_words=HEADER.size // p.axi_data_width,
        slot_words=8 * SLOT_BYTES // p.axi_data_width,
        threshold_latency=Threshold.latency(p),
        neuron_latency=Neuron.latency(p),
        mantissa_width=_MANTISSA_WIDTH,
    )


def program(
    params: HwParams,
    instructions: Sequence[tuple[Opcode, Mapping[str, int]]],
    batches: Sequence[Batch],
) -> Program:
    """Return a program with what its batches mean for time; see `sim.cycle.predict`."""
    encoded = Program((c.Instruction * len(instructions))())
    following = iter(batches)
    for slot, (opcode, fields) in zip(encoded.slots, instructions, strict=True):
        slot.opcode = opcode.value
        for name, value in fields.items():
            if hasattr(slot, name):
                setattr(slot, name, value)
        if opcode is Opcode.ENCODE:
            batch = next(following)
            events = _events(params, batch.counts)
            _add_batch(encoded, slot, params, batch, events)
            trains = {}  # by coding
        elif opcode is Opcode.MATMUL:
            coding = Coding(fields["coding"])
            if coding not in trains:
                steps, spikes = _train(params, batch.counts[:, events], coding)
                trains[coding] = (
                    encoded.keep(steps, ctypes.c_uint8),
                    encoded.keep(spikes, ctypes.c_uint32),
                )
            slot.steps, slot.spikes = trains[coding]
            sizes = params.tiles(fields["outputs"])
            slot.tiles = len(sizes)
            slot.full = _extent(params, params.tile_outputs, fields["weight_width"])
            slot.last = _extent(params, sizes[-1], fields["weight_width"])
    return encoded


def _add_batch(
    encoded: Program, slot: c.Instruction, params: HwParams, batch: Batch, events: np.ndarray
) -> None:
    words = -(-slot.channels // params.scan_width)
    first_events = np.searchsorted(events, np.arange(words + 1) * params.scan_width)
    widths = np.array([v.bit_length() for v in batch.thresholds])
    slot.threshold_widths = encoded.keep(widths, ctypes.c_uint8)
    slot.event_channels = encoded.keep(events, ctypes.c_uint32)
    slot.first_events = encoded.keep(first_events, ctypes.c_uint32)


def _extent(params: HwParams, outputs: int, weight_width: int) -> c.Extent:
    return c.Extent(
        outputs, params.row_words(outputs, weight_width), params.row_beats(outputs, weight_width)
    )


def _events(params: HwParams, counts: np.ndarray) -> np.ndarray:
    """Return the channels that the event queue hands on."""
    if params.skip_silent:
        return np.flatnonzero(counts.any(axis=0))
    return np.arange(counts.shape[1])


def _train(params: HwParams, counts: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Return each event's steps, and its spikes in all of them, (events,)."""
    magnitudes = np.abs(counts).astype(np.uint16)
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
