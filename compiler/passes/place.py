"""Pass 3, place: give the program, every vector, every matrix its own region of memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from compiler.passes.lower import Matrix, Stage
from compiler.passes.tile import tile
from hw.contract import isa
from hw.contract.params import HwParams

__all__ = [
    "REGION_ALIGNMENT",
    "Region",
    "Wanted",
    "channel_word_bytes",
    "lay_out",
    "matrix_regions",
    "place",
    "weight_bytes",
]

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
        ``program``, ``weights``, ``channel_words``, ``input`` or ``output``; in a whole model also
        ``records``, ``tokens``, ``constants``, ``vectors`` or ``cache``.
    address, bytes : int
        Where it begins, and its length.
    channels : int
        Elements of one row, where it holds vectors; 0 for the others.
    """

    name: str
    kind: str
    address: int
    bytes: int
    channels: int = 0


class Wanted(NamedTuple):
    """A region that has no address yet; see `Region`."""

    name: str
    kind: str
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
    wanted = [Wanted("program", "program", program)]
    for stage in stages:
        bytes_ = tokens * params.vector_bytes(stage.channels)
        wanted.append(Wanted(f"{stage.name}.input", "input", bytes_, stage.channels))
        for matrix in stage.matrices:
            output = tokens * params.vector_bytes(matrix.outputs)
            wanted += [
                *matrix_regions(matrix, params),
                Wanted(f"{matrix.name}.output", "output", output, matrix.outputs),
            ]
    regions, limit = lay_out(wanted), 1 << params.axi_addr_width
    for region in regions.values():
        if (end := region.address + region.bytes) > limit:
            raise ValueError(
                f"region {region.name} ends at byte {end:,}, but this hardware addresses "
                f"only {limit:,} (axi_addr_width = {params.axi_addr_width}): compile fewer layers"
            )
    return regions


def matrix_regions(matrix: Matrix, params: HwParams) -> list[Wanted]:
    """Return the regions of a matrix's contents."""
    words = channel_word_bytes(matrix, params)
    return [
        Wanted(f"{matrix.name}.weights", "weights", weight_bytes(matrix, params)),
        Wanted(f"{matrix.name}.channel_words", "channel_words", words),
    ]


def lay_out(wanted: Iterable[Wanted]) -> dict[str, Region]:
    """Return regions by name, one after the other, each aligned."""
    regions, address = {}, 0
    for part in wanted:
        regions[part.name] = Region(**part._asdict(), address=address)
        address += -(-part.bytes // REGION_ALIGNMENT) * REGION_ALIGNMENT
    return regions
