"""Pass 5, emit: memory images of the weights and of the program, with their checksums."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compiler.passes.lower import Matrix, Stage
from compiler.passes.place import Region
from compiler.passes.schedule import Instruction
from compiler.passes.tile import pack_channel_words, pack_tile, tile
from compiler.storage.checksums import Checksums
from compiler.storage.checksums import chunks as read_chunks
from compiler.storage.directory import PROGRAM, shard_name, write_file
from hw.contract import isa
from hw.contract.params import HwParams

__all__ = [
    "SHARD_BYTES",
    "Shards",
    "Weights",
    "contents_of",
    "emit_matrix",
    "emit_program",
    "emit_programs",
]

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
    """The weight files of a directory. Each region has its place from the start.

    Parameters
    ----------
    directory : Path
        Where they are written.
    regions : iterable of Region
        Those with contents, in the order in which they lie in the files.
    shard_bytes : int
        Length from which on the next region starts a new file.

    Attributes
    ----------
    contents : dict
        By region that is written: its ``file``, ``offset``, ``sha256`` and ``crc32``.
    """

    def __init__(
        self, directory: Path, regions: Iterable[Region], shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._directory = directory
        self._places: dict[str, tuple[str, int]] = {}
        self.contents: dict[str, dict[str, object]] = {}
        index = length = 0
        for region in regions:
            if length >= shard_bytes:
                index, length = index + 1, 0
            self._places[region.name] = shard_name(index), length
            length += region.bytes

    def write(self, region: Region, chunks: Iterable[np.ndarray]) -> None:
        """Write a region's contents, which are as long as the region; any thread may."""
        name, offset = self._places[region.name]
        path, at = self._directory / name, offset
        checksums = Checksums()
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            for chunk in chunks:
                raw = memoryview(np.ascontiguousarray(chunk).view(np.uint8).reshape(-1))
                checksums.update(raw)
                while raw:
                    written = os.pwrite(file, raw, at)
                    raw, at = raw[written:], at + written
        except OSError as error:
            if error.filename is not None:  # of what is read
                raise
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            os.close(file)
        if at != offset + region.bytes:
            raise RuntimeError(f"{region.name} has {at - offset} bytes, not {region.bytes}")
        self.contents[region.name] = {"file": name, "offset": offset, **checksums.entry()}

    def reuse(self, region: Region, contents: dict) -> bool:
        """Take a region as an earlier process wrote it, if it is what `contents` says."""
        name, offset = self._places[region.name]
        checksums = Checksums()
        try:
            for chunk in read_chunks(self._directory / name, offset, region.bytes):
                checksums.update(chunk)
        except FileNotFoundError:
            return False
        if contents != {"file": name, "offset": offset, **checksums.entry()}:
            return False
        self.contents[region.name] = contents
        return True


def contents_of(stages: Iterable[Stage], regions: dict[str, Region]) -> list[Region]:
    """Return the regions of the stages' matrices that have contents, in the order of their use."""
    return [
        regions[f"{matrix.name}.{kind}"]
        for stage in stages
        for matrix in stage.matrices
        for kind in ("weights", "channel_words")
    ]


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
    """Write the program; returns its ``file``, ``offset`` and checksums."""
    return emit_programs([instructions], fingerprint, directory)


def emit_programs(
    programs: Iterable[list[Instruction]], fingerprint: str, directory: Path
) -> dict[str, object]:
    """Write programs one behind the other, each with its header, as `emit_program` does one."""
    raw = b"".join(_program(instructions, fingerprint) for instructions in programs)
    write_file(directory / PROGRAM, raw)
    checksums = Checksums()
    checksums.update(raw)
    return {"file": PROGRAM, "offset": 0, **checksums.entry()}


def _program(instructions: list[Instruction], fingerprint: str) -> bytes:
    header = isa.pack(
        isa.HEADER,
        magic=isa.MAGIC,
        slots=len(instructions),
        reserved=0,
        fingerprint=int(fingerprint, 16),
    )
    return header + b"".join(isa.assemble(step.opcode, **step.fields) for step in instructions)
