"""What the simulated accelerator did, as its memory recorded it: writes, and spike counts."""

from enum import IntEnum
from pathlib import Path

import numpy as np

__all__ = ["Kind", "RECORD", "read_trace", "stored_bytes"]


class Kind(IntEnum):
    """What a record is of."""

    WRITE = 0  # a memory word that was stored
    BATCH = 1  # an ENCODE begins to fire: its batch's extent
    COUNTS = 2  # a group of counts enters the spike buffer


RECORD = np.dtype(
    [("kind", "<u8"), ("address", "<u8"), ("strobe", "<u8"), ("data", "u1", (64,))], align=False
)
"""As in trace.h. Data: a memory word of which `strobe` marks the bytes, or a payload of the
hardware's (`hw.spike.buffer.batch_layout`, `spike_write_layout`)."""


def read_trace(path: Path, skip: int = 0) -> np.ndarray:
    """Return the records so far, in the order of the events, without the first `skip`."""
    if not path.exists():
        return np.zeros(0, RECORD)
    with path.open("rb") as file:
        file.seek(skip * RECORD.itemsize)
        raw = file.read()
    return np.frombuffer(raw[: len(raw) // RECORD.itemsize * RECORD.itemsize], RECORD)


def stored_bytes(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return addresses and values of every byte that writes stored, in order, int64 and uint8."""
    writes = records[records["kind"] == Kind.WRITE]
    strobes = np.ascontiguousarray(writes["strobe"]).view("u1").reshape(-1, 8)
    there = np.unpackbits(strobes, axis=1, bitorder="little")
    row, lane = np.nonzero(there)
    return writes["address"][row].astype(np.int64) + lane, writes["data"][row, lane]
