"""The container of a GGUF file: metadata, and where each tensor lies.

It is parsed here, not by the `gguf` package, whose reader takes seconds over a large vocabulary and
fails on a damaged file with whatever numpy runs into first.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from golden.checkpoint.readers.file_bytes import FileBytes
from golden.checkpoint.readers.gguf_grid import unpack
from golden.console.errors import CheckpointError
from golden.numerics.groups import GridRows

__all__ = ["MAGIC", "GgufFile", "GgufTensor"]

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
STRING, ARRAY = 8, 9
# numpy types of the scalar kinds, by their number in the file
SCALARS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class GgufTensor:
    """A tensor in the file: its shape (rows first), how it is quantized, where it begins."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    file: FileBytes
    start: int

    def grid(self, first: int, end: int) -> GridRows:
        """Return rows `first` to `end` of a matrix on their grid, which its kind must have."""
        with np.errstate(invalid="ignore"):  # what is no number is told by who asks
            return unpack(self.kind, self._blocks(first, end)[0], end - first)

    def read(self, first: int, end: int) -> np.ndarray:
        """Return rows `first` to `end` dequantized, float32; `ValueError` if it cannot."""
        block, _ = GGML_QUANT_SIZES[self.kind]
        row = math.prod(self.shape[1:])
        data, before = self._blocks(first, end)
        if self.kind == GGMLQuantizationType.F32:
            values = data.reshape(-1).view(np.float32)
        else:
            try:
                with np.errstate(invalid="ignore"):
                    values = dequantize(data, self.kind).reshape(-1)
            except NotImplementedError as error:
                raise ValueError(
                    f"the quantization {self.kind.name} is not supported: "
                    "convert the model to F16, Q8_0 or Q4_1"
                ) from error
        skip = first * row - before * block
        return values[skip : skip + (end - first) * row].reshape(-1, *self.shape[1:])

    def _blocks(self, first: int, end: int) -> tuple[np.ndarray, int]:
        """Return the blocks that rows lie in, uint8, (blocks, bytes), and the first one's number.

        A row is whole blocks; the elements of a single axis may begin within one.
        """
        block, block_bytes = GGML_QUANT_SIZES[self.kind]
        row = math.prod(self.shape[1:])
        before, after = first * row // block, -(-end * row // block)
        data = self.file.read(self.start + before * block_bytes, (after - before) * block_bytes)
        return data.reshape(-1, block_bytes), before


class GgufFile:
    """A GGUF file, version 2 or 3, little endian.

    Parameters
    ----------
    path : Path
        The file; its header is read, and a tensor's rows when they are asked for.

    Members
    -------
    metadata : dict
        Values by key; arrays are lists.
    tensors : dict of str to GgufTensor
        By the names of the file.

    Raises
    ------
    CheckpointError
        If the file is not GGUF, is truncated, or contradicts itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise CheckpointError(
                    f"{path} is no GGUF file (it does not begin with the letters GGUF): "
                    "get it again, or name another"
                )
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = len(MAGIC)
        version = self._unpack("I")
        if version not in (2, 3):
            raise CheckpointError(
                f"{path}: the GGUF version must be 2 or 3, not {version}: get another file"
            )
        tensor_count, key_count = self._unpack("Q"), self._unpack("Q")
        self.metadata: dict[str, Any] = {}
        for _ in range(key_count):
            key = self._string()
            self.metadata[key] = self._value(self._unpack("I"))
        infos = [self._tensor_info() for _ in range(tensor_count)]
        self.tensors = self._map(infos)

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} is truncated or damaged ({what}): get it again")

    def _take(self, length: int) -> int:
        """Step over `length` bytes and return where they begin."""
        start, self._at = self._at, self._at + length
        if self._at > len(self._bytes):
            raise self._damaged(f"its header ends after byte {len(self._bytes)}")
        return start

    def _unpack(self, code: str) -> int:
        layout = "<" + code
        return struct.unpack_from(layout, self._bytes, self._take(struct.calcsize(layout)))[0]

    def _string(self) -> str:
        length = self._unpack("Q")
        start = self._take(length)
        # Vocabularies hold pieces of characters now and then: keep them, byte by byte.
        return self._bytes[start : start + length].decode("utf-8", errors="surrogateescape")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            kind, length = self._unpack("I"), self._unpack("Q")
            if kind in SCALARS:
                return self._scalars(kind, length).tolist()
            if kind != STRING:
                raise self._damaged(f"an array of the unknown type {kind}")
            return [self._string() for _ in range(length)]
        if kind in SCALARS:
            return self._scalars(kind, 1)[0].item()
        raise self._damaged(f"metadata of the unknown type {kind}")

    def _scalars(self, kind: int, length: int) -> np.ndarray:
        dtype = np.dtype(SCALARS[kind])
        start = self._take(length * dtype.itemsize)
        return np.frombuffer(self._bytes, dtype, length, start)

    def _tensor_info(self) -> tuple[str, tuple[int, ...], int, int]:
        """Return name, shape, quantization and offset; the file has the shape columns first."""
        name = self._string()
        dimensions = self._unpack("I")
        if not 1 <= dimensions <= 4:
            raise self._damaged(f"{name} with {dimensions} dimensions")
        shape = tuple(self._unpack("Q") for _ in range(dimensions))[::-1]
        return name, shape, self._unpack("I"), self._unpack("Q")

    def _map(self, infos: list[tuple[str, tuple[int, ...], int, int]]) -> dict[str, GgufTensor]:
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise self._damaged(f"an alignment of {alignment}")
        base = -(-self._at // alignment) * alignment
        tensors, file = {}, FileBytes(self.path)
        for name, shape, number, offset in infos:
            try:
                kind = GGMLQuantizationType(number)
            except ValueError as error:
                raise self._damaged(f"{name} has the unknown quantization {number}") from error
            block, block_bytes = GGML_QUANT_SIZES[kind]
            if shape[-1] % block:
                raise self._damaged(f"{name} has rows of {shape[-1]}, no multiple of {block}")
            length = math.prod(shape) // block * block_bytes
            if base + offset + length > len(self._bytes):
                raise self._damaged(
                    f"{name} should end at byte {base + offset + length}, the file has "
                    f"{len(self._bytes)}"
                )
            if name in tensors:
                raise self._damaged(f"it holds {name} twice")
            tensors[name] = GgufTensor(name, shape, kind, file, base + offset)
        return tensors
