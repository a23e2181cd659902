"""The payloads of the memory port's five AXI4 channels, as streams inside the accelerator."""

from amaranth.lib import data
from amaranth.utils import exact_log2

from hw.contract.isa import HEADER, SLOT_BYTES
from hw.contract.params import HwParams

__all__ = [
    "AXI_ID_WIDTH",
    "CLIENT_WIDTH",
    "EPOCH_WIDTH",
    "MOST_WRITES",
    "READ_CLIENTS",
    "answer_layout",
    "burst_layout",
    "queue_depths",
    "read_address_layout",
    "read_data_layout",
    "response_layout",
    "segment_layout",
    "word_address_width",
    "write_data_layout",
]

READ_CLIENTS = ("program", "records", "vectors", "a", "b", "channel_words", "weights")
"""Who reads memory, in the order of priority; the index is in the lower bits of the AXI ID."""
CLIENT_WIDTH = (len(READ_CLIENTS) - 1).bit_length()
"""Bits of a client."""
EPOCH_WIDTH = 2
"""Bits of the number above it: a response with another one is late, its request was given up."""
AXI_ID_WIDTH = CLIENT_WIDTH + EPOCH_WIDTH
"""Bits of an AXI ID."""
MOST_WRITES = 64
"""Write bursts that may wait for their response."""


def word_address_width(params: HwParams) -> int:
    """Bits of the address of a memory word."""
    return params.axi_addr_width - exact_log2(params.axi_bytes)


def queue_depths(params: HwParams) -> dict[str, int]:
    """Return how many words of each client may be under way or waiting."""
    return {
        "program": 4 * HEADER.size // params.axi_data_width,
        "records": 4 * 8 * SLOT_BYTES // params.axi_data_width,
        "vectors": 2 * params.max_burst_words,
        "a": 2 * params.max_burst_words,
        "b": 2 * params.max_burst_words,
        "channel_words": params.max_burst_words,
        "weights": params.fetch_depth,
    }


def segment_layout(params: HwParams) -> data.StructLayout:
    """Return a run of memory words of any length: word address and words."""
    return data.StructLayout({"address": word_address_width(params), "words": 24})


def burst_layout(params: HwParams) -> data.StructLayout:
    """Return a run of words that AXI4 allows as one burst."""
    words = params.max_burst_words.bit_length()
    return data.StructLayout({"address": word_address_width(params), "words": words})


def read_address_layout(params: HwParams) -> data.StructLayout:
    """Return a burst with the client it is for."""
    return data.StructLayout({"burst": burst_layout(params), "client": CLIENT_WIDTH})


def read_data_layout(params: HwParams) -> data.StructLayout:
    """Return one word read, with its client and whether the memory reported an error."""
    return data.StructLayout({"data": params.axi_data_width, "client": CLIENT_WIDTH, "failed": 1})


def answer_layout(params: HwParams) -> data.StructLayout:
    """Return one word as memory sends it: read data, the epoch, and whether its burst ends."""
    members = dict(read_data_layout(params).members)
    return data.StructLayout(members | {"epoch": EPOCH_WIDTH, "last": 1})


def response_layout() -> data.StructLayout:
    """Return the response to a write burst: the epoch, and whether memory reported an error."""
    return data.StructLayout({"epoch": EPOCH_WIDTH, "failed": 1})


def write_data_layout(params: HwParams) -> data.StructLayout:
    """Return one word to write, the bytes of it that count, and whether the burst ends."""
    return data.StructLayout({"data": params.axi_data_width, "strobe": params.axi_bytes, "last": 1})
