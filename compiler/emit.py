"""Pass 5, emit: memory images of the weights and of the program, with their checksums."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compiler.directory import PROGRAM, shard_name
from compiler.lower import Matrix
from compiler.place import Region
from compiler.schedule import Instruction
from compiler.tile import pack_channel_words, pack_tile, tile
from hw import isa
from hw.params import HwParams

__all__ = ["SHARD_BYTES", "Shards", "Weights", "emit_matrix", "emit_program"]

SHARD_BYTES = 1 << 28
"""A shard takes no further region once it is this long."""


class Weights(NamedTuple):
    """A quantized matrix as arrays: codes (outputs, channels) int8, the others (outputs,).

    `mantissa` and `exponent` are each output channel's scale, `bias` is int32 Q15.16 or None.
    """

    codes: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray
    bias: np.ndarray | None


class Shards:
    """The weight files of a directory, filled region by region.

    Parameters
    ----------
    directory : Path
        Where they are written.
    shard_bytes : int
        Length from which on the next region starts a new file.

    Attributes
    ----------
    contents : dict
        By region: its ``file``, ``offset`` and ``sha256``.
    """

    def __init__(self, directory: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self._directory, self._shard_bytes = directory, shard_bytes
        self._index = self._length = 0
        self.contents: dict[str, dict[str, object]] = {}

    def write(self, region: Region, chunks: Iterable[np.ndarray]) -> None:
        """Append a region's contents, which are as long as the region."""
        if self._length >= self._shard_bytes:
            self._index, self._length = self._index + 1, 0
        name = shard_name(self._index)
        digest = hashlib.sha256()
        with (self._directory / name).open("ab") as file:
            for chunk in chunks:
                raw = np.ascontiguousarray(chunk).view(np.uint8).reshape(-1)
                digest.update(raw)
                file.write(raw)
        self.contents[region.name] = {
            "file": name,
            "offset": self._length,
            "sha256": digest.hexdigest(),
        }
        self._length += region.bytes


def emit_matrix(
    matrix: Matrix,
    weights: Weights,
    regions: dict[str, Region],
    params: HwParams,
    shards: Shards,
) -> None:
    """Write a matrix's row segments and channel words into the shards."""
    segments = (
        pack_tile(
            weights.codes[part.first : part.first + part.outputs],
            matrix.weight_width,
            part.row_bytes,
        )
        for part in tile(matrix, params)
    )
    shards.write(regions[f"{matrix.name}.weights"], segments)
    words = pack_channel_words(weights.mantissa, weights.exponent, weights.bias, params)
    shards.write(regions[f"{matrix.name}.channel_words"], [words.astype("<u4")])


def emit_program(
    instructions: list[Instruction], fingerprint: str, directory: Path
) -> dict[str, object]:
    """Write the program; returns its ``file``, ``offset`` and ``sha256``."""
    raw = isa.pack(
        isa.HEADER,
        magic=isa.MAGIC,
        slots=len(instructions),
        reserved=0,
        fingerprint=int(fingerprint, 16),
    )
    raw += b"".join(isa.assemble(step.opcode, **step.fields) for step in instructions)
    (directory / PROGRAM).write_bytes(raw)
    return {"file": PROGRAM, "offset": 0, "sha256": hashlib.sha256(raw).hexdigest()}
