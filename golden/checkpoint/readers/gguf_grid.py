"""The grids that GGUF's quantizations put weights on (numerics, section 4), from their blocks.

How a block lies in the file is ggml's (`ggml-quants.c`); `w = d * (codes + z) + m` is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind

from golden.numerics.groups import GridRows

__all__ = ["GRIDS", "GgufGrid", "FLOATS", "unpack"]


@dataclass(frozen=True)
class GgufGrid:
    """What is the same for all blocks of a quantization.

    Attributes
    ----------
    group : int
        Input channels that share a scale.
    bits : int
        Bits that hold a code.
    offset_shift : int
        c of its m.
    unpack : callable
        Takes blocks, uint8, (blocks, bytes); returns codes (blocks, elements), d and m or None
        (blocks, groups of a block).
    """

    group: int
    bits: int
    offset_shift: int
    unpack: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray | None]]


FLOATS = {Kind.F32, Kind.F16, Kind.BF16}
"""Kinds that are no grid, but the numbers themselves."""


def unpack(kind: Kind, blocks: np.ndarray, rows: int) -> GridRows:
    """Return rows of a matrix, whose blocks are uint8, (blocks, bytes of a block)."""
    grid = GRIDS[kind]
    codes, d, m = grid.unpack(blocks)
    return GridRows(
        codes=torch.from_numpy(codes.astype(np.int8).reshape(rows, -1)),
        d=torch.from_numpy(d.astype(np.float64).reshape(rows, -1)),
        z=None,
        m=None if m is None else torch.from_numpy(m.astype(np.float64).reshape(rows, -1)),
        group=grid.group,
        bits=grid.bits,
        offset_shift=grid.offset_shift,
    )


def _half(blocks: np.ndarray, start: int) -> np.ndarray:
    """Return the fp16 at a byte of each block, float64, (blocks, 1)."""
    return blocks[:, start : start + 2].copy().view(np.float16).astype(np.float64)


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """Low halves of 16 bytes, then their high halves: (blocks, 32)."""
    return np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int16)


def _fifth_bits(packed: np.ndarray) -> np.ndarray:
    """Bit j of 4 bytes for element j, at its place: (blocks, 32)."""
    return np.unpackbits(packed, axis=1, bitorder="little").astype(np.int16) << 4


def _q4_0(b: np.ndarray):
    return _nibbles(b[:, 2:18]) - 8, _half(b, 0), None


def _q4_1(b: np.ndarray):
    d = _half(b, 0)
    return _nibbles(b[:, 4:20]) - 8, d, _half(b, 2) + 8 * d


def _q5_0(b: np.ndarray):
    return (_nibbles(b[:, 6:22]) | _fifth_bits(b[:, 2:6])) - 16, _half(b, 0), None


def _q5_1(b: np.ndarray):
    d = _half(b, 0)
    return (_nibbles(b[:, 8:24]) | _fifth_bits(b[:, 4:8])) - 16, d, _half(b, 2) + 16 * d


def _q8_0(b: np.ndarray):
    return b[:, 2:34].view(np.int8), _half(b, 0), None


def _scales_of_8(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight scales and eight minima of 6 bits, in 12 bytes: float64, (blocks, 8) both."""
    low, middle, high = packed[:, :4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 2 & 48)], axis=1)
    minima = np.concatenate([middle & 63, (high >> 4) | (middle >> 2 & 48)], axis=1)
    return scales.astype(np.float64), minima.astype(np.float64)


def _pairs(packed: np.ndarray) -> np.ndarray:
    """Of each 32 bytes the low halves, then the high ones: (blocks, 256)."""
    chunks = packed.reshape(-1, 4, 32)
    return np.stack([chunks & 15, chunks >> 4], axis=2).reshape(-1, 256).astype(np.int16)


def _q4_k(b: np.ndarray):
    scales, minima = _scales_of_8(b[:, 4:16])
    d = _half(b, 0) * scales
    return _pairs(b[:, 16:144]) - 8, d, 8 * d - _half(b, 2) * minima


def _q5_k(b: np.ndarray):
    scales, minima = _scales_of_8(b[:, 4:16])
    d = _half(b, 0) * scales
    fifth = (b[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & 1).reshape(-1, 256)
    codes = (_pairs(b[:, 48:176]) | fifth.astype(np.int16) << 4) - 16
    return codes, d, 16 * d - _half(b, 2) * minima


def _q6_k(b: np.ndarray):
    low = b[:, :128].reshape(-1, 2, 1, 64) >> np.array([0, 4], np.uint8)[:, None] & 15
    high = b[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    codes = low.reshape(-1, 256).astype(np.int16) | high.reshape(-1, 256).astype(np.int16) << 4
    return codes - 32, _half(b, 208) * b[:, 192:208].view(np.int8).astype(np.float64), None


_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)  # halves


def _mxfp4(b: np.ndarray):
    return _E2M1[_nibbles(b[:, 1:17])], np.ldexp(1.0, b[:, :1].astype(np.int32) - 128), None


GRIDS = {
    Kind.Q4_0: GgufGrid(32, 4, 0, _q4_0),
    Kind.Q4_1: GgufGrid(32, 4, 3, _q4_1),
    Kind.Q5_0: GgufGrid(32, 8, 0, _q5_0),
    Kind.Q5_1: GgufGrid(32, 8, 4, _q5_1),
    Kind.Q8_0: GgufGrid(32, 8, 0, _q8_0),
    Kind.Q4_K: GgufGrid(32, 4, 3, _q4_k),
    Kind.Q5_K: GgufGrid(32, 8, 4, _q5_k),
    Kind.Q6_K: GgufGrid(16, 8, 0, _q6_k),
    Kind.MXFP4: GgufGrid(32, 8, 0, _mxfp4),
}
"""The grid of each quantization that has one."""
