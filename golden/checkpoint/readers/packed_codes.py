"""Codes out of the words that hold several of them, compiled: at the speed of memory."""

import numba
import numpy as np
import torch
from torch import Tensor

__all__ = ["along_outputs", "bytes_to_codes", "dequantized", "fp4_to_codes"]

_AWQ_SHIFTS = np.array([0, 16, 4, 20, 8, 24, 12, 28], np.uint32)
"""Where AWQ puts each of 8 outputs in their word."""
_AT_ONCE = 64  # channels: their words lie in as many lines of the cache
_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.int8)  # halves
_FP4 = np.concatenate([_E2M1, -_E2M1])
_PAIRS = np.stack([np.tile(_FP4, 16), np.repeat(_FP4, 16)], axis=1).view(np.uint16)[:, 0].copy()


def bytes_to_codes(packed: Tensor, bits: int) -> Tensor:
    """Return q − 8 of the halves of bytes, the low one first, or q − 128 of bytes.

    Parameters
    ----------
    packed : Tensor
        (rows, n), of any dtype.
    bits : int
        4 or 8.

    Returns
    -------
    Tensor
        int8, (rows, channels).
    """
    data = np.array(packed.numpy(), order="C", copy=None).view(np.uint8)
    if bits == 8:
        return torch.from_numpy((data ^ 128).view(np.int8))
    codes = np.empty((data.shape[0], 2 * data.shape[1]), np.int8)
    _halves(data, codes)
    return torch.from_numpy(codes)


def fp4_to_codes(packed: Tensor) -> Tensor:
    """Return twice the E2M1 numbers in the halves of bytes, the low one first.

    `packed` is uint8, (rows, n); the result int8, (rows, 2 n).
    """
    data = packed.numpy()
    codes = np.empty((data.shape[0], 2 * data.shape[1]), np.int8)
    _looked_up(data, _PAIRS, codes.view(np.uint16))
    return torch.from_numpy(codes)


def along_outputs(words: Tensor) -> Tensor:
    """Return q − 8 of words that hold 8 outputs each in AWQ's order.

    `words` is int32, (channels, outputs / 8); the result int8, (outputs, channels).
    """
    data = words.numpy().view(np.uint32)
    codes = np.empty((data.shape[1], 8, data.shape[0]), np.int8)
    _shifted(data, _AWQ_SHIFTS, codes)
    return torch.from_numpy(codes.reshape(-1, data.shape[0]))


def dequantized(codes: Tensor, d: Tensor, z: Tensor | None, order: Tensor | None) -> Tensor:
    """Return ``d * (codes + z)``, float32, rounded once: codes + z are exact.

    `codes` are int8, (rows, K), `d` and `z` float32, (rows, groups), and `order` int64, (K,), the
    group of each channel unless it is its number by their size; all are contiguous.
    """
    rows, groups = d.shape
    z = torch.zeros_like(d) if z is None else z
    if order is not None:
        weights = np.empty(tuple(codes.shape), np.float32)
        _gathered(codes.numpy(), d.numpy(), z.numpy(), order.numpy(), weights)
        return torch.from_numpy(weights)
    weights = np.empty((rows, groups, codes.shape[1] // groups), np.float32)
    _scaled(codes.view(weights.shape).numpy(), d.numpy(), z.numpy(), weights)
    return torch.from_numpy(weights.reshape(rows, -1))


@numba.njit(nogil=True, cache=True)
def _halves(data, codes):
    for row in range(data.shape[0]):
        packed, out = data[row], codes[row]
        for i in range(packed.shape[0]):
            out[2 * i] = np.int8(packed[i] & 15) - np.int8(8)
            out[2 * i + 1] = np.int8(packed[i] >> 4) - np.int8(8)


@numba.njit(nogil=True, cache=True)
def _looked_up(data, table, pairs):
    for row in range(data.shape[0]):
        packed, out = data[row], pairs[row]
        for i in range(packed.shape[0]):
            out[i] = table[packed[i]]


@numba.njit(nogil=True, cache=True)
def _shifted(words, shifts, codes):
    some = np.empty(_AT_ONCE, np.uint32)
    for start in range(0, words.shape[0], _AT_ONCE):
        end = min(start + _AT_ONCE, words.shape[0])
        for column in range(words.shape[1]):
            for k in range(start, end):
                some[k - start] = words[k, column]
            for output in range(8):
                shift, out = shifts[output], codes[column, output, start:end]
                for k in range(end - start):
                    out[k] = np.int8((some[k] >> shift) & np.uint32(15)) - np.int8(8)


@numba.njit(nogil=True, cache=True)
def _scaled(codes, d, z, weights):
    for row in range(codes.shape[0]):
        for group in range(codes.shape[1]):
            scale, zero = d[row, group], z[row, group]
            for k in range(codes.shape[2]):
                weights[row, group, k] = (np.float32(codes[row, group, k]) + zero) * scale


@numba.njit(nogil=True, cache=True)
def _gathered(codes, d, z, order, weights):
    for row in range(codes.shape[0]):
        scales, zeros, out = d[row], z[row], weights[row]
        for k in range(codes.shape[1]):
            out[k] = (np.float32(codes[row, k]) + zeros[order[k]]) * scales[order[k]]
