"""What a device left of one run: every byte that it wrote, in order, and the counts if seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.contract.params import HwParams
from hw.spike.buffer import batch_layout, spike_write_layout
from sim.device import Result
from sim.diverge.steps import Step
from sim.rtl.bench.trace import Kind, read_trace, stored_bytes

__all__ = ["Record", "Recorder", "record_of_trace"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run of a device.

    Attributes
    ----------
    addresses, values : ndarray of int64, of uint8
        Each byte that was written, in order.
    counts : sequence of ndarray, or None
        Of each ENCODE, (tokens, channels) in int16; None where the device does not show them.
    end : str
        How it ended, as a phrase.
    """

    addresses: np.ndarray
    values: np.ndarray
    counts: Sequence[np.ndarray] | None
    end: str


def ending(finished: Result) -> str:
    """Return how a run ended, as a phrase."""
    return f"ended at position {finished.position} with error {finished.error.name}"


class Recorder:
    """Makes the record of a device that computes step by step, out of its memory.

    Parameters
    ----------
    memory : ndarray of uint8
        The device's.
    """

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._addresses, self._values = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
        self._counts: list[np.ndarray] = []

    def add(self, step: Step, counts: np.ndarray) -> None:
        """Take down what a step has done."""
        for piece in step.pieces:
            if piece.kind == "counts":
                self._counts.append(counts.astype(np.int16))
            else:
                addresses = piece.byte_addresses().reshape(-1)
                self._addresses.append(addresses)
                self._values.append(self._memory[addresses])

    def record(self, finished: Result) -> Record:
        """Return the whole run."""
        return Record(
            addresses=np.concatenate(self._addresses),
            values=np.concatenate(self._values),
            counts=self._counts,
            end=ending(finished),
        )


def record_of_trace(trace: Path, params: HwParams, end: str) -> Record:
    """Return the record of a simulation of the RTL, from what its memory recorded."""
    records = read_trace(trace)
    addresses, values = stored_bytes(records)
    return Record(addresses=addresses, values=values, counts=_counts(records, params), end=end)


def _counts(records: np.ndarray, params: HwParams) -> list[np.ndarray]:
    """Put the counts of each batch together."""
    seen = records[records["kind"] != Kind.WRITE]
    bits = np.unpackbits(seen["data"][:, :32], axis=1, bitorder="little").astype(np.int64)

    def number(offset: int, width: int) -> np.ndarray:
        return bits[:, offset : offset + width] @ (1 << np.arange(width))

    layout, extent = spike_write_layout(params), batch_layout(params)
    token, group = (number(layout[x].offset, layout[x].width) for x in ("token", "group"))
    tokens, channels = (number(extent[x].offset, extent[x].width) for x in ("tokens", "channels"))
    width, first = params.spike_width, layout["counts"].offset
    lanes = [number(first + lane * width, width) for lane in range(params.encode_lanes)]
    counts = np.stack(lanes, axis=1)  # (records, lanes)
    counts -= (counts >> width - 1) << width
    starts = np.flatnonzero(seen["kind"] == Kind.BATCH)
    found = []
    for start, end in zip(starts, [*starts[1:], len(seen)], strict=True):
        groups = -(-int(channels[start]) // params.encode_lanes)
        whole = np.zeros((int(tokens[start]), groups, params.encode_lanes), np.int16)
        of_batch = slice(start + 1, end)
        inside = (token[of_batch] < whole.shape[0]) & (group[of_batch] < groups)
        whole[token[of_batch][inside], group[of_batch][inside]] = counts[of_batch][inside]
        found.append(whole.reshape(len(whole), -1)[:, : int(channels[start])])
    return found
