"""The file of a fold: an .npz archive of half-precision numbers, small enough to keep.

``axes`` is (hidden_size, hidden_size), each site's scales are ``scales/SITE``, (channels,). Scales
hold at any precision, as what is multiplied is divided by the same; axes are made orthogonal again.
"""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden.console.archive import read_archive
from golden.recipe.fold import Fold

__all__ = ["StoredFold", "fold_entry", "fold_of", "pack_fold", "unpack_fold"]


@dataclass(frozen=True, eq=False)
class StoredFold(Fold):
    """A fold from a file.

    Attributes
    ----------
    raw : bytes
        The file, which the same fold is read from again.
    """

    raw: bytes


def pack_fold(found: Fold) -> bytes:
    """Return a fold's file; the same bytes for the same fold."""
    arrays = {f"scales/{site}": d.numpy() for site, d in found.scales.items()}
    if found.axes is not None:
        arrays["axes"] = found.axes.numpy()
    file = io.BytesIO()
    halves: dict[str, Any] = {name: values.astype("<f2") for name, values in arrays.items()}
    np.savez(file, **halves)
    return file.getvalue()


def unpack_fold(raw: bytes) -> StoredFold:
    """Return the fold of a file.

    Raises
    ------
    ValueError
        Where the bytes are no fold's.
    """
    arrays = {}
    for name, values in read_archive(io.BytesIO(raw)).items():
        if not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"must have arrays of floating point, and {name} is {values.dtype}")
        arrays[name] = torch.from_numpy(values.astype(np.float64))
    axes = arrays.pop("axes", None)
    scales = {name.removeprefix("scales/"): values for name, values in arrays.items()}
    if not scales or any(name == site for name, site in zip(arrays, scales, strict=True)):
        raise ValueError("must have axes and scales/SITE, and nothing else")
    for site, d in scales.items():
        if d.ndim != 1 or not ((d > 0) & d.isfinite()).all():
            raise ValueError(f"must have positive scales, of one dimension, for {site}")
    return StoredFold(None if axes is None else _orthogonal(axes), scales, raw)


def fold_entry(source: str | StoredFold | None) -> str | dict[str, str] | None:
    """Return what a recipe folds as plain JSON values."""
    if isinstance(source, StoredFold):
        return {"npz": base64.b64encode(source.raw).decode()}
    return source


def fold_of(entry: str | dict[str, str] | None) -> str | StoredFold | None:
    """Return what `fold_entry` made the entry of."""
    if isinstance(entry, dict):
        return unpack_fold(base64.b64decode(entry["npz"]))
    return entry


def _orthogonal(axes: Tensor) -> Tensor:
    """Return the nearest orthogonal matrix to one that rounding has bent (Newton and Schulz)."""
    if axes.ndim != 2 or axes.shape[0] != axes.shape[1]:
        raise ValueError(f"must have square axes, not of shape {tuple(axes.shape)}")
    unit = torch.eye(len(axes), dtype=torch.float64)
    if not (axes.T @ axes - unit).abs().max() < 0.1:  # NaN is not below it either
        raise ValueError("must have orthogonal axes")
    for _ in range(6):  # each squares what is missing
        axes = 1.5 * axes - 0.5 * axes @ (axes.T @ axes)
    return axes
