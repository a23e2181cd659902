"""compressed-tensors and MXFP4: matrices that lie outputs first, whose rows are read alone."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from golden.checkpoint.readers import StoredTensor
from golden.checkpoint.readers.packed import (
    FLOATS,
    Rows,
    group_count,
    read_order,
    read_scales,
    require,
    stored,
    two_axes,
)
from golden.checkpoint.readers.packed_codes import bytes_to_codes, fp4_to_codes
from golden.checkpoint.readers.quantization import Packing
from golden.checkpoint.readers.safetensors_file import FileTensor
from golden.console.errors import CheckpointError

__all__ = ["mxfp4_blocks", "mxfp4_packed", "pack_quantized"]

_MX_GROUP = 32
_MX_NAN = 255


def pack_quantized(name: str, parts: Mapping[str, FileTensor], packing: Packing) -> StoredTensor:
    """Describe a matrix in compressed-tensors' format pack-quantized: ``w = scale * (q - zero)``.

    weight_packed is (outputs, inputs * bits / 32), weight_scale (outputs, groups),
    weight_zero_point, where it is not symmetric, (outputs * bits / 32, groups), and weight_shape
    [outputs, inputs]. weight_g_idx is (inputs,), the group of each input; where it is -1, it says
    nothing. compressed-tensors multiplies in the dtype of the scales, and rounds each weight to it.
    """
    packed, scale = parts["weight_packed"], parts["weight_scale"]
    outputs, words = two_axes(packed)
    inputs, held = _inputs(parts["weight_shape"], outputs), 32 // packing.bits
    require(packed, ("I32",), (outputs, -(-inputs // held)))
    groups = group_count(packed, inputs, packing)
    require(scale, FLOATS, (outputs, groups))
    zero = None if packing.symmetric else parts["weight_zero_point"]
    if zero is not None:
        require(zero, ("I32",), (-(-outputs // held), groups))
    order = None
    if "weight_g_idx" in parts:
        order = read_order(parts["weight_g_idx"], inputs, groups, unset=-1, even=True)

    def zeros(first: int, end: int) -> Tensor | None:
        if zero is None:
            return None
        left = first // held
        part = zero.read(left, -(-end // held), ahead=False).t()  # (groups, words)
        codes = bytes_to_codes(part, packing.bits).t()  # (outputs, groups)
        return -codes[first - left * held : end - left * held].float().contiguous()

    def read(first: int, end: int) -> Rows:
        codes = bytes_to_codes(packed.read(first, end), packing.bits)[:, :inputs].contiguous()
        d = read_scales(scale, scale.read(first, end, ahead=False), first)
        return Rows(codes, d, zeros(first, end))

    shape = (outputs, inputs)
    return stored(name, shape, packing, read, offsets=zero is not None, order=order)


def mxfp4_packed(name: str, parts: Mapping[str, FileTensor], packing: Packing) -> StoredTensor:
    """Describe a matrix in compressed-tensors' format mxfp4-pack-quantized.

    weight_packed is uint8, (outputs, inputs / 2), weight_scale uint8, (outputs, inputs / 32).
    """
    blocks, scales = parts["weight_packed"], parts["weight_scale"]
    outputs, half = two_axes(blocks, "U8")
    return _mxfp4(name, blocks, scales, (outputs, 2 * half), packing)


def mxfp4_blocks(name: str, parts: Mapping[str, FileTensor], packing: Packing) -> StoredTensor:
    """Describe a matrix as gpt-oss packs it: ``w = E2M1 * 2^(scale - 127)``.

    blocks are uint8, (outputs, inputs / 32, 16), scales uint8, (outputs, inputs / 32). No weight
    but those beyond bf16's range is rounded in transformers either.
    """
    blocks, scales = parts["blocks"], parts["scales"]
    if blocks.dtype == "U8" and (len(blocks.shape) != 3 or blocks.shape[2] != _MX_GROUP // 2):
        raise CheckpointError(
            f"{blocks.path}: {blocks.name} must have the shape [outputs, inputs / 32, 16], not "
            f"{list(blocks.shape)}: the file is damaged, get it again"
        )
    require(blocks, ("U8",), blocks.shape)
    outputs, groups, _ = blocks.shape
    return _mxfp4(name, blocks, scales, (outputs, groups * _MX_GROUP), packing)


def _mxfp4(
    name: str, blocks: FileTensor, scales: FileTensor, shape: tuple[int, int], packing: Packing
) -> StoredTensor:
    outputs, groups = shape[0], group_count(blocks, shape[1], packing)
    require(scales, ("U8",), (outputs, groups))

    def read(first: int, end: int) -> Rows:
        codes = fp4_to_codes(blocks.read(first, end).flatten(1))
        exponents = scales.read(first, end, ahead=False)
        d = torch.ldexp(torch.ones(exponents.shape), exponents.int() - 128)  # codes are halves
        d = d.masked_fill(exponents == _MX_NAN, math.nan)
        return Rows(codes, read_scales(scales, d, first), None)

    return stored(name, shape, packing, read, offsets=False)


def _inputs(part: FileTensor, outputs: int) -> int:
    """Return the inputs of a matrix by its weight_shape, which must have so many outputs."""
    require(part, ("I64", "I32"), (2,))
    shape = part.whole().tolist()
    if shape[0] != outputs or shape[1] < 1:
        raise CheckpointError(
            f"{part.path}: {part.name} must be {outputs} outputs and some inputs, not {shape}: "
            "the file is damaged, get it again"
        )
    return shape[1]
