"""Pass 3, place: give the program, every vector, every matrix its own region of memory."""

from dataclasses import dataclass

from compiler.lower import Matrix, Stage
from compiler.tile import tile
from hw import isa
from hw.params import HwParams

__all__ = ["REGION_ALIGNMENT", "Region", "channel_word_bytes", "place", "weight_bytes"]

REGION_ALIGNMENT = 4096
"""Bytes; no two regions share a memory word, and AXI's 4 KiB boundaries are where they seem."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A named run of memory.

    Attributes
    ----------
    name : str
        ``program``, or a site or matrix with what of it lies here: ``layers.0.gate.weights``.
    kind : str
        ``program``, ``weights``, ``channel_words``, ``input`` or ``output``.
    address, bytes : int
        Where it begins, and its length.
    channels : int
        Elements of one token's vector, for inputs and outputs; 0 for the others.
    """

    name: str
    kind: str
    address: int
    bytes: int
    channels: int = 0


def weight_bytes(matrix: Matrix, params: HwParams) -> int:
    """Return the bytes of all row segments of `matrix`."""
    last = tile(matrix, params)[-1]
    return last.offset + matrix.channels * last.row_bytes


def channel_word_bytes(matrix: Matrix, params: HwParams) -> int:
    """Return the bytes of all channel words of `matrix`, padded to whole memory words."""
    return params.vector_bytes(matrix.outputs) * len(isa.CHANNEL_WORDS[matrix.has_bias])


def place(
    stages: list[Stage], params: HwParams, *, tokens: int, instructions: int
) -> dict[str, Region]:
    """Return every region by name, in the order of their addresses.

    Parameters
    ----------
    stages : list of Stage
        What is computed.
    params : HwParams
        The hardware.
    tokens : int
        Rows of every vector region.
    instructions : int
        Slots of the program after its header.

    Raises
    ------
    ValueError
        Where a region ends beyond what the memory port can address.
    """
    program = (instructions * isa.SLOT_BYTES) + isa.HEADER.size // 8
    wanted = [("program", "program", program, 0)]
    for stage in stages:
        bytes_ = tokens * params.vector_bytes(stage.channels)
        wanted.append((f"{stage.name}.input", "input", bytes_, stage.channels))
        for matrix in stage.matrices:
            name, outputs = matrix.name, matrix.outputs
            words = channel_word_bytes(matrix, params)
            wanted += [
                (f"{name}.weights", "weights", weight_bytes(matrix, params), 0),
                (f"{name}.channel_words", "channel_words", words, 0),
                (f"{name}.output", "output", tokens * params.vector_bytes(outputs), outputs),
            ]
    regions, address, limit = {}, 0, 1 << params.axi_addr_width
    for name, kind, bytes_, channels in wanted:
        if address + bytes_ > limit:
            raise ValueError(
                f"region {name} ends at byte {address + bytes_:,}, but this hardware addresses "
                f"only {limit:,} (axi_addr_width = {params.axi_addr_width}): compile fewer layers"
            )
        regions[name] = Region(
            name=name, kind=kind, address=address, bytes=bytes_, channels=channels
        )
        address += -(-bytes_ // REGION_ALIGNMENT) * REGION_ALIGNMENT
    return regions
