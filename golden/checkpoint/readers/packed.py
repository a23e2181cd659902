"""Quantized matrices of safetensors files: as weights, and on their grid (numerics, section 4)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from golden.checkpoint.readers import StoredGrid, StoredTensor
from golden.checkpoint.readers.packed_codes import dequantized
from golden.checkpoint.readers.quantization import Packing
from golden.checkpoint.readers.safetensors_file import FileTensor
from golden.console.errors import CheckpointError
from golden.numerics.fixed import first_index
from golden.numerics.groups import GridRows
from hw.contract.params import GROUPS

__all__ = [
    "FLOATS",
    "Rows",
    "group_count",
    "read_order",
    "read_scales",
    "require",
    "stored",
    "two_axes",
]

FLOATS = ("F32", "F16", "BF16")
"""Dtypes of scales."""


class Rows(NamedTuple):
    """Rows of a matrix: ``w = d * (codes + z)``.

    `codes` are int8, (rows, K); `d` and `z` float32, (rows, groups), z integers or None for zeros.
    """

    codes: Tensor
    d: Tensor
    z: Tensor | None


def stored(
    name: str,
    shape: tuple[int, int],
    packing: Packing,
    read: Callable[[int, int], Rows],
    *,
    offsets: bool,
    order: Tensor | None = None,
) -> StoredTensor:
    """Describe a matrix by what reads rows of it.

    Its weights are those of transformers' references in exact arithmetic, rounded to float32. A
    product has 24 bits or fewer where scales are fp16 or bf16, so nothing is rounded then; the
    references that multiply in fp16 or bf16 round each weight to that, and what differs is theirs.

    Parameters
    ----------
    name : str
        The layer's name, for messages.
    shape : tuple of int
        (outputs, inputs).
    packing : Packing
        Its format, bits, and the group of its file, which is a divisor of the inputs or -1.
    read : callable
        Reads rows `first` to `end`.
    offsets : bool
        Whether there is a z.
    order : Tensor, optional
        int64, (inputs,), the group of each input where it is not its number by the group. Such a
        matrix has no grid: neighbours do not share scales.
    """
    file_group = shape[1] if packing.group == -1 else packing.group
    # A group of the file that is none of the grid's is told as several with the same scale.
    group = max((size for size in GROUPS if file_group % size == 0), default=None)

    def weights(first: int, end: int) -> Tensor:
        codes, d, z = read(first, end)
        return dequantized(codes, d, z, order)

    def rows(first: int, end: int) -> GridRows:
        assert group is not None
        codes, d, z = read(first, end)
        if file_group != group:
            d = d.repeat_interleave(file_group // group, dim=1)
            z = None if z is None else z.repeat_interleave(file_group // group, dim=1)
        z = z.double() if offsets and z is not None else None
        return GridRows(codes, d.double(), z, None, group, packing.bits)

    grid = None
    if group is not None and order is None:
        grid = StoredGrid(packing.format, group, packing.bits, "z" if offsets else "none", 0, rows)
    return StoredTensor(name, shape, weights, grid, packing.format)


def two_axes(part: FileTensor, dtype: str = "I32") -> tuple[int, int]:
    """Return the shape of a packed matrix, refusing what is none of that dtype."""
    if part.dtype != dtype:
        raise CheckpointError(f"{part.path}: {part.name} must be {dtype}, not {part.dtype}: {_GET}")
    if len(part.shape) != 2 or 0 in part.shape:
        raise CheckpointError(
            f"{part.path}: {part.name} must have two axes, not the shape {list(part.shape)}: {_GET}"
        )
    return part.shape


def require(part: FileTensor, dtypes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    """Refuse a part of a packed matrix that has another dtype or shape."""
    if part.dtype not in dtypes:
        wanted = f"{'one of ' if len(dtypes) > 1 else ''}{', '.join(dtypes)}"
        raise CheckpointError(
            f"{part.path}: {part.name} must be {wanted}, not {part.dtype}: {_GET}"
        )
    if part.shape != shape:
        raise CheckpointError(
            f"{part.path}: {part.name} must have the shape {list(shape)}, not {list(part.shape)}: "
            "it and the packed weights do not belong together, get it again"
        )


def group_count(part: FileTensor, inputs: int, packing: Packing) -> int:
    """Return how many groups of inputs there are, refusing groups that do not divide them."""
    if packing.group == -1:
        return 1
    if inputs % packing.group:
        raise CheckpointError(
            f"{part.path}: group_size must divide the {inputs} inputs of {part.name}, not be "
            f"{packing.group}: quantize it with another group_size"
        )
    return inputs // packing.group


def read_scales(part: FileTensor, d: Tensor, first: int) -> Tensor:
    """Return scales, (rows, groups), that are of use; `part` and `first` are for messages."""
    wrong = ~d.isfinite() | (d == 0)
    if wrong.any():
        row, group = first_index(wrong)
        raise CheckpointError(
            f"{part.path}: {part.name} holds {d[row, group].item():g} for output channel "
            f"{first + row}, group {group}, but scales must be finite and not 0: the file is "
            "damaged, get it again"
        )
    return d.to(torch.float32).contiguous()


def read_order(
    part: FileTensor, inputs: int, groups: int, *, unset: int, even: bool = False
) -> Tensor | None:
    """Return the group of each input, int64, or None where it is its number by the group.

    A g_idx of nothing but `unset` says nothing. `even` refuses groups of unequal size.
    """
    require(part, ("I32", "I64"), (inputs,))
    order, size = part.whole().long(), inputs // groups
    if (order == unset).all() or torch.equal(order, torch.arange(inputs) // size):
        return None
    outside = (order < 0) | (order >= groups)
    if outside.any():
        raise CheckpointError(
            f"{part.path}: {part.name} must name groups from 0 to {groups - 1}, not "
            f"{order[outside][0].item()}: the file is damaged, get it again"
        )
    if even and (order.bincount(minlength=groups) != size).any():
        raise CheckpointError(
            f"{part.path}: {part.name} must name each group {size} times: the file is damaged, get "
            "it again"
        )
    return order


_GET = "get it again"
