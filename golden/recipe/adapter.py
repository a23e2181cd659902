"""Adapters: low-rank corrections of a checkpoint's matrices (LoRA, arXiv 2106.09685).

A matrix W, (outputs, inputs), becomes W + up down before it is quantized, so the hardware has
nothing new to do. What a dead zone takes away is partly made up for by what
`golden.calibration.distil` learns
here. An adapter must be small enough to keep, so only the codes of `up` are kept::

    column[k] = sqrt(mean over n of W[n, k]^2)
    row[n]    = sqrt(mean over k of (W[n, k] / column[k])^2)
    up[n, j]   = row[n] * codes[n, j] * scale[j] / sqrt(rank)
    down[j, k] = sign[j, k] * column[k]

Signs are drawn by the matrix's name; a column or row of nothing counts as 1e-9. The file is an .npz
archive: `KIND/codes` is uint8, (layers, outputs, rank / 2), two codes of -7 to 7 a byte, the first
in its low half; `KIND/scale` is float32, (layers, rank). KIND is that of a layer's matrix, or
lm_head, which counts as one layer.
"""

import base64
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.derived import DerivedCheckpoint
from golden.checkpoint.names import MATRICES, matrices
from golden.console.archive import read_archive

__all__ = [
    "AdaptedCheckpoint",
    "Adapter",
    "adapt",
    "adapter_entry",
    "adapter_of",
    "pack_adapter",
    "signs",
    "units",
    "unpack_adapter",
]

_KINDS = (*MATRICES, "lm_head")
_PARTS = {"codes": (np.uint8, 3), "scale": (np.float32, 2)}  # dtype and dimensions
_LARGEST_CODE = 7
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter from a file.

    Attributes
    ----------
    ups : dict of str to Tensor
        By matrix, codes times scales, float32, (outputs, rank).
    raw : bytes
        The file, which the same adapter is read from again.
    """

    ups: dict[str, Tensor]
    raw: bytes


def units(w: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix's row, (outputs,), and column, (inputs,), float64."""
    w = w.double()
    column = w.square().mean(dim=0).sqrt().clamp(min=_NOTHING)
    return (w / column).square().mean(dim=1).sqrt().clamp(min=_NOTHING), column


def signs(name: str, rank: int, inputs: int) -> Tensor:
    """Return the signs of a matrix's down, float32, (rank, inputs)."""
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(-(-rank * inputs // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), count=rank * inputs)
    return torch.from_numpy(2.0 * bits.reshape(rank, inputs) - 1).float()


class AdaptedCheckpoint(DerivedCheckpoint):
    """A checkpoint with an adapter in its matrices; a tied output head becomes its own."""

    def __init__(self, checkpoint: Checkpoint, adapter: Adapter) -> None:
        super().__init__(checkpoint, replace(checkpoint.config, tied_head=False))
        self._ups = adapter.ups

    def tensor(self, name: str) -> Tensor:
        """Return a tensor with its correction, float32."""
        self.shape(name)
        t = self._checkpoint.tensor(name)
        if name not in self._ups:
            return t
        up = self._ups[name].double()
        rank = up.shape[1]
        row, column = units(t)
        low = up / rank**0.5 @ signs(name, rank, t.shape[1]).double()
        return (t.double() + row[:, None] * low * column).float()


def adapt(checkpoint: Checkpoint, adapter: Adapter | None) -> Checkpoint:
    """Return a checkpoint with an adapter in its matrices, or itself where there is none.

    Raises
    ------
    ValueError
        If the adapter is another model's.
    """
    if adapter is None:
        return checkpoint
    given = {name: len(up) for name, up in adapter.ups.items()}
    kinds = {name.rpartition(".")[2] for name in given}
    names = [m for m in matrices(checkpoint.config) if m.rpartition(".")[2] in kinds]
    wanted = {name: checkpoint.shape(name)[0] for name in names}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            raise ValueError(
                f"the recipe's adapter must be of this model, {checkpoint.config.name}, which it "
                f"is not at {name}: {wanted.get(name, 0)} outputs, not {given.get(name, 0)}"
            )
    return AdaptedCheckpoint(checkpoint, adapter)


def pack_adapter(ups: Mapping[str, Tensor]) -> bytes:
    """Return an adapter's file; the same bytes for the same `ups`, which are rounded.

    All matrices of a kind must have one, or none; all ranks are equal and even.
    """
    arrays = {}
    for kind in _KINDS:
        found = [up for name, up in ups.items() if name.rpartition(".")[2] == kind]
        if found:
            values = torch.stack(found)
            scale = values.abs().amax(dim=1) / _LARGEST_CODE  # (layers, rank)
            codes = (values / torch.where(scale > 0, scale, 1)[:, None]).round().to(torch.int8)
            nibbles = codes.numpy().view(np.uint8) & 15
            arrays[f"{kind}/codes"] = nibbles[..., 0::2] | nibbles[..., 1::2] << 4
            arrays[f"{kind}/scale"] = scale.float().numpy()
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpack_adapter(raw: bytes) -> Adapter:
    """Return the adapter of a file.

    Raises
    ------
    ValueError
        Where the bytes are no adapter's; the message goes on after the file's name.
    """
    arrays = read_archive(io.BytesIO(raw))
    names = {f"{kind}/{part}" for kind in _KINDS for part in _PARTS}
    ups = {}
    for kind in dict.fromkeys(name.partition("/")[0] for name in arrays):
        codes, scale = (arrays.get(f"{kind}/{part}") for part in _PARTS)
        if codes is None or scale is None or not arrays.keys() <= names:
            raise ValueError("must have KIND/codes and KIND/scale, and nothing else")
        for (part, (dtype, dimensions)), values in zip(_PARTS.items(), (codes, scale), strict=True):
            if values.dtype != dtype or values.ndim != dimensions or not np.isfinite(values).all():
                raise ValueError(
                    f"must have {kind}/{part} finite, of {np.dtype(dtype).name} and {dimensions} "
                    "dimensions"
                )
        layers, outputs, pairs = codes.shape
        if scale.shape != (layers, 2 * pairs) or not (outputs and pairs):
            raise ValueError(f"must have {kind} of the same layers and rank in codes and scale")
        if kind == "lm_head" and layers != 1:
            raise ValueError(f"must have lm_head once, not {layers} times")
        nibbles = np.stack([codes & 15, codes >> 4], axis=-1).reshape(layers, outputs, 2 * pairs)
        signed = (nibbles.astype(np.int8) ^ 8) - 8  # two's complement
        if (signed < -_LARGEST_CODE).any():
            raise ValueError(f"must have {kind}/codes of -7 to 7")
        for layer in range(layers):
            name = kind if kind == "lm_head" else f"layers.{layer}.{kind}"
            ups[name] = torch.from_numpy(signed[layer] * scale[layer])
    if not ups:
        raise ValueError("must have KIND/codes and KIND/scale of at least one KIND")
    return Adapter(ups, raw)


def adapter_entry(adapter: Adapter | None) -> dict[str, str] | None:
    """Return an adapter as plain JSON values."""
    return None if adapter is None else {"npz": base64.b64encode(adapter.raw).decode()}


def adapter_of(entry: dict[str, str] | None) -> Adapter | None:
    """Return what `adapter_entry` made the entry of."""
    return None if entry is None else unpack_adapter(base64.b64decode(entry["npz"]))
