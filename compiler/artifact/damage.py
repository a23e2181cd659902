"""Where a damaged region is damaged: its blocks, and of a single flipped bit the place itself.

CRC-32 is linear: how two checksums differ depends on the bits that differ only, and no two single
bits of a block give the same difference. So a flipped bit is found by walking its difference back.
"""

import hashlib
from pathlib import Path

from compiler.passes.place import Region
from compiler.storage.checksums import BLOCK_BYTES, Checksums, chunks
from hw.contract.params import HwParams

__all__ = ["where"]


def _table() -> list[int]:
    """Return what each byte leaves in the register of CRC-32 (IEEE 802.3, reflected)."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    return table


def where(
    path: Path, region: Region, contents: dict, operation: dict | None, params: HwParams
) -> str:
    """Return in words where a region whose checksum differs is damaged.

    Parameters
    ----------
    path : Path
        The file it lies in.
    region : Region
        The region.
    contents : dict
        Its ``offset``, ``sha256`` and ``crc32`` in the manifest.
    operation : dict or None
        The MATMUL whose weights it holds, if it does.
    params : HwParams
        The hardware.
    """
    found = Checksums()
    for chunk in chunks(path, contents["offset"], region.bytes):
        found.update(chunk)
    wanted, got = (_blocks(entry["crc32"]) for entry in (contents, found.entry()))
    wrong = [i for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if a != b]
    if not wrong:
        return "its checksum differs"
    first, end = wrong[0] * BLOCK_BYTES, min((wrong[-1] + 1) * BLOCK_BYTES, region.bytes)
    if len(wrong) == 1:
        difference = wanted[wrong[0]] ^ got[wrong[0]]
        place = _flipped(difference, end - first)
        if place and _repairs(path, region, contents, first + place[0], place[1]):
            byte, bit = first + place[0], place[1]
            inside = _within(byte, bit, operation, params) if operation else ""
            return f"bit {bit} of its byte {contents['offset'] + byte:,} is flipped{inside}"
    start = contents["offset"]
    return f"its bytes {start + first:,} to {start + end - 1:,} differ"


def _blocks(crc32: str) -> list[int]:
    return [int(crc32[at : at + 8], 16) for at in range(0, len(crc32), 8)]


def _flipped(difference: int, length: int) -> tuple[int, int] | None:
    """Return byte and bit of the one flip that makes this difference, if there is one."""
    table = _table()
    bits = {table[1 << bit]: bit for bit in range(8)}
    by_top = {value >> 24: (byte, value) for byte, value in enumerate(table)}
    for byte in range(length - 1, -1, -1):
        if difference in bits:
            return byte, bits[difference]
        low, value = by_top[difference >> 24]
        difference = ((difference ^ value) << 8 & 0xFFFFFFFF) | low
    return None


def _repairs(path: Path, region: Region, contents: dict, byte: int, bit: int) -> bool:
    """Return whether the region is intact but for one bit."""
    digest = hashlib.sha256()
    for index, chunk in enumerate(chunks(path, contents["offset"], region.bytes)):
        at = byte - index * BLOCK_BYTES
        if 0 <= at < len(chunk):
            mended = bytearray(chunk)
            mended[at] ^= 1 << bit
            chunk = bytes(mended)
        digest.update(chunk)
    return digest.hexdigest() == contents["sha256"]


def _within(byte: int, bit: int, operation: dict, params: HwParams) -> str:
    """Return which weight of a matrix's row segments holds a bit."""
    width, offset = operation["weight_width"], 0
    for tile, outputs in enumerate(params.tiles(operation["outputs"])):
        row_bytes, groups = params.row_bytes(outputs, width), operation.get("groups")
        size, scale_bits, scale_bytes = operation["channels"], 0, 0
        if groups is not None:
            size = groups["size"]
            scale_bits = groups["width"] * (1 if groups["offsets"] == "none" else 2)
            scale_bytes = params.scale_words(outputs, scale_bits) * params.axi_bytes
        group_bytes = size * row_bytes + scale_bytes
        tile_bytes = operation["channels"] // size * group_bytes
        if byte < offset + tile_bytes:
            group, within = divmod(byte - offset, group_bytes)
            channel, at = divmod(within, row_bytes)
            if channel < size:
                channel += group * size
                return f": tile {tile}, channel {channel}, column {(8 * at + bit) // width}"
            column = (8 * (within - size * row_bytes) + bit) // scale_bits
            return f": tile {tile}, scale of group {group}, column {column}"
        offset += tile_bytes
    return ""
