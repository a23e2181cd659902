"""AWQ and GPTQ: matrices that lie inputs first, so that a block of outputs lies all over them.

The packed words of the matrix that a thread asked for last are kept, so that each is read once
when it is read block by block: an eighth of what its weights take in float32.
"""

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
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
from golden.checkpoint.readers.packed_codes import along_outputs, bytes_to_codes
from golden.checkpoint.readers.quantization import Packing
from golden.checkpoint.readers.safetensors_file import FileTensor

__all__ = ["LatestWords", "awq", "gptq"]

_AWQ_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]
"""In which nibble of a word each of 8 outputs lies."""


class Words(NamedTuple):
    """A packed matrix in memory: its words, and of each output and group d and z in float32."""

    words: Tensor
    d: Tensor
    z: Tensor


class LatestWords(threading.local):
    """Keeps the packed matrix that a thread asked for last."""

    def __init__(self) -> None:
        self._part: FileTensor | None = None
        self._words: Words | None = None

    def get(self, part: FileTensor, make: Callable[[], Words]) -> Words:
        """Return a matrix by the part that holds its words; it is read unless it was the last."""
        if self._words is None or self._part is not part:
            self._words = None  # not two at once
            self._part, self._words = part, make()
        return self._words


def awq(
    name: str, parts: Mapping[str, FileTensor], packing: Packing, latest: LatestWords
) -> StoredTensor:
    """Describe a matrix as AutoAWQ's version gemm packs it: ``w = scale * (q - zero)``.

    qweight is (inputs, outputs / 8), qzeros (groups, outputs / 8), scales (groups, outputs).
    AutoAWQ multiplies in fp16, and rounds each weight to that.
    """
    qweight, qzeros, scales = parts["qweight"], parts["qzeros"], parts["scales"]
    inputs, packed = two_axes(qweight)
    groups = group_count(qweight, inputs, packing)
    require(qzeros, ("I32",), (groups, packed))
    require(scales, FLOATS, (groups, 8 * packed))

    def load() -> Words:
        zeros = bytes_to_codes(qzeros.whole(), 4)  # (groups, outputs), nibble by nibble
        zeros = zeros.view(groups, packed, 8)[:, :, _AWQ_PLACES].view(groups, -1)
        return Words(qweight.whole(ahead=True), _scales(scales), -zeros.t().float().contiguous())

    def read(first: int, end: int) -> Rows:
        whole = latest.get(qweight, load)
        left, right = first // 8, -(-end // 8)
        codes = along_outputs(whole.words[:, left:right])
        codes = codes[first - 8 * left : end - 8 * left]
        return Rows(codes, whole.d[first:end], whole.z[first:end])

    return stored(name, (8 * packed, inputs), packing, read, offsets=True)


def gptq(
    name: str, parts: Mapping[str, FileTensor], packing: Packing, latest: LatestWords
) -> StoredTensor:
    """Describe a matrix as AutoGPTQ and GPTQModel pack it: ``w = scale * (q - zero)``.

    qweight is (inputs * bits / 32, outputs), qzeros (groups, outputs * bits / 32), scales (groups,
    outputs), and g_idx, if it is there, (inputs,), the group of each input. The first version of
    the format holds zeros less 1; the 1 is added to whole words, as GPTQModel took it away. A g_idx
    of zeros alone says nothing, as in exllama. Kernels multiply in fp16, and round to that.
    """
    qweight, qzeros, scales = parts["qweight"], parts["qzeros"], parts["scales"]
    held = 32 // packing.bits
    packed, outputs = two_axes(qweight)
    inputs = packed * held
    groups = group_count(qweight, inputs, packing)
    require(qzeros, ("I32",), (groups, -(-outputs // held)))
    require(scales, FLOATS, (groups, outputs))
    order = None
    if "g_idx" in parts:
        order = read_order(parts["g_idx"], inputs, groups, unset=0)
    one = (0x11111111 if packing.bits == 4 else 0x01010101) if packing.less_one else 0

    def zeros() -> Tensor:
        words = qzeros.whole().numpy().view(np.uint32) + np.uint32(one)
        codes = bytes_to_codes(torch.from_numpy(words.view(np.int32)), packing.bits)
        return codes[:, :outputs]

    def load() -> Words:
        return Words(qweight.whole(ahead=True), _scales(scales), -zeros().t().float().contiguous())

    def read(first: int, end: int) -> Rows:
        whole = latest.get(qweight, load)
        codes = bytes_to_codes(whole.words[:, first:end].t(), packing.bits)
        return Rows(codes, whole.d[first:end], whole.z[first:end])

    # What claims to be symmetric is held to it: its zeros are few.
    offsets = not packing.symmetric or bool(zeros().any())
    return stored(name, (outputs, inputs), packing, read, offsets=offsets, order=order)


def _scales(part: FileTensor) -> Tensor:
    return read_scales(part, part.whole().t(), 0)
