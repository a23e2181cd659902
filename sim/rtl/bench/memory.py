"""The simulated memory as the host sees it: set up and asked through C functions of dram.cpp.

The functions are part of the simulator's executable, in whose process cocotb runs this module.
"""

import ctypes
from dataclasses import dataclass
from functools import cache

__all__ = ["Counts", "configure", "counts", "fault", "trace"]


@dataclass(frozen=True)
class Counts:
    """What the memory has counted since it was set up.

    A DRAM's controller answers a write before the DRAM has it: of such bytes some are unstored.
    """

    bytes_read: int
    bytes_written: int
    read_bursts: int
    write_bursts: int
    transfers: int
    writes_under_way: int
    unstored_bytes: int


class _Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in Counts.__dataclass_fields__]


@cache
def _functions() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    word = ctypes.c_uint64
    library.dram_open.argtypes = [ctypes.c_char_p, word, word, word, ctypes.c_double, word]
    library.dram_want_data_first.argtypes = []
    library.dram_want_data_first.restype = None
    library.dram_permit_writes.argtypes = [word, word]
    library.dram_permit_writes.restype = None
    library.dram_fail.argtypes = [ctypes.c_int, word, word]
    library.dram_fail.restype = None
    library.dram_trace.argtypes = [ctypes.c_char_p, word, word, ctypes.c_int]
    library.dram_counts.argtypes = [ctypes.POINTER(_Counts)]
    library.dram_counts.restype = None
    library.dram_fault.argtypes = []
    library.dram_fault.restype = ctypes.c_char_p
    return library


def configure(
    image: str,
    *,
    memory_bytes: int,
    word_bytes: int,
    latency: int,
    stalls: float,
    seed: int,
    writable: list[list[int]],
    failing_reads: list[list[int]],
    failing_writes: list[list[int]],
    data_first: bool = False,
) -> None:
    """Put another memory behind the bus, before a reset.

    Parameters
    ----------
    image : str
        File that holds the bytes; what is written to the memory is written to it.
    memory_bytes, word_bytes : int
        Bytes of the memory and of one word.
    latency : int
        Cycles from a burst's address (write: last word) to its first word (response), at least 1.
    stalls : float
        Probability that a channel is held off in a cycle; above 0, latency jitters up to its
        double and bursts of different IDs are answered out of order.
    seed : int
        Of all randomness.
    writable, failing_reads, failing_writes : list of [first, end]
        Addresses that may be written, and those answered with SLVERR.
    data_first : bool
        Whether a write's address is taken only once its data are seen, as AXI4 allows.

    Raises
    ------
    OSError
        Where the file cannot be mapped.
    """
    library = _functions()
    if not library.dram_open(image.encode(), memory_bytes, word_bytes, latency, stalls, seed):
        raise OSError(f"{image} cannot be mapped as memory of {memory_bytes} bytes")
    if data_first:
        library.dram_want_data_first()
    for first, end in writable:
        library.dram_permit_writes(first, end)
    for kind, ranges in enumerate((failing_reads, failing_writes)):
        for first, end in ranges:
            library.dram_fail(kind, first, end)


def trace(path: str, first: int, end: int, *, spikes: bool) -> None:
    """Record what is done from now on, see `sim.rtl.bench.trace`; after `configure`.

    Parameters
    ----------
    path : str
        File of the records.
    first, end : int
        Addresses whose writes are recorded.
    spikes : bool
        Whether the counts that enter the spike buffer are, too.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    if not _functions().dram_trace(path.encode(), first, end, spikes):
        raise OSError(f"{path} cannot be written")


def counts() -> Counts:
    """Return the counts so far."""
    raw = _Counts()
    _functions().dram_counts(ctypes.byref(raw))
    return Counts(*(getattr(raw, name) for name, *_ in _Counts._fields_))


def fault() -> str:
    """Return the first breach of the AXI protocol as one sentence, empty where there is none."""
    return _functions().dram_fault().decode()
