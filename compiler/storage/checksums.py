"""Checksums of a region: SHA-256 of all of it, and CRC-32 of each block, which tell where."""

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BLOCK_BYTES", "Checksums", "chunks"]

BLOCK_BYTES = 1 << 20
"""Bytes that share a CRC-32; the last block of a region may be shorter."""


class Checksums:
    """Checksums of bytes that come piece by piece."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._blocks: list[int] = []
        self._left = 0  # bytes that the last block still takes

    def update(self, raw: memoryview | bytes) -> None:
        """Take the next bytes."""
        self._digest.update(raw)
        rest = memoryview(raw)
        while rest:
            if not self._left:
                self._blocks.append(0)
                self._left = BLOCK_BYTES
            part, rest = rest[: self._left], rest[self._left :]
            self._blocks[-1] = zlib.crc32(part, self._blocks[-1])
            self._left -= len(part)

    def entry(self) -> dict[str, str]:
        """Return ``sha256``, and ``crc32``: eight digits a block; all in hexadecimal."""
        crc32 = "".join(f"{block:08x}" for block in self._blocks)
        return {"sha256": self._digest.hexdigest(), "crc32": crc32}


def chunks(path: Path, offset: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of a file from `offset` on, or fewer where it ends, block by block."""
    with path.open("rb", buffering=0) as file:
        end = offset + length
        while offset < end and (
            chunk := os.pread(file.fileno(), min(BLOCK_BYTES, end - offset), offset)
        ):
            yield chunk
            offset += len(chunk)
