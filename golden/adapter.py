"""Adapters: low-rank corrections of a checkpoint's matrices (LoRA, arXiv 2106.09685).

W becomes W + up down before it is quantized, so the hardware has nothing new to do. What a dead
zone takes away is partly made up for by what `golden.distil` learns here.

In a file, an .npz archive, up and down are 8-bit codes: `KIND/up` is (layers, outputs, rank),
`KIND/down` (layers, rank, inputs), and `KIND/scale` (layers, rank) what their products are times,
float32. KIND is that of a layer's matrix, or lm_head, which counts as one layer.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from golden.archive import read_archive
from golden.checkpoints import Checkpoint
from golden.derived import DerivedCheckpoint
from golden.names import MATRICES, matrices

__all__ = [
    "AdaptedCheckpoint",
    "Adapter",
    "adapt",
    "adapter_entry",
    "adapter_of",
    "pack_adapter",
    "unpack_adapter",
]

_KINDS = (*MATRICES, "lm_head")
_PARTS = {"up": (np.int8, 3), "down": (np.int8, 3), "scale": (np.float32, 2)}  # dtype, dimensions


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter from a file.

    Attributes
    ----------
    factors : dict of str to (Tensor, Tensor)
        By matrix, up, (outputs, rank), and down, (rank, inputs), float32.
    raw : bytes
        The file, which the same adapter is read from again.
    """

    factors: dict[str, tuple[Tensor, Tensor]]
    raw: bytes


class AdaptedCheckpoint(DerivedCheckpoint):
    """A checkpoint with an adapter in its matrices; a tied output head becomes its own."""

    def __init__(self, checkpoint: Checkpoint | DerivedCheckpoint, adapter: Adapter) -> None:
        super().__init__(checkpoint, replace(checkpoint.config, tied_head=False))
        self._factors = adapter.factors

    def tensor(self, name: str) -> Tensor:
        """Return a tensor with its correction, float32."""
        self.shape(name)
        t = self._checkpoint.tensor(name)
        if name not in self._factors:
            return t
        up, down = self._factors[name]
        return (t.double() + up.double() @ down.double()).float()


def adapt(
    checkpoint: Checkpoint | DerivedCheckpoint, adapter: Adapter | None
) -> Checkpoint | DerivedCheckpoint:
    """Return a checkpoint with an adapter in its matrices, or itself where there is none.

    Raises
    ------
    ValueError
        If the adapter is another model's.
    """
    if adapter is None:
        return checkpoint
    given = {name: (len(up), down.shape[1]) for name, (up, down) in adapter.factors.items()}
    kinds = {name.rpartition(".")[2] for name in given}
    names = [m for m in matrices(checkpoint.config) if m.rpartition(".")[2] in kinds]
    wanted = {name: tuple(checkpoint.shape(name)) for name in names}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            raise ValueError(
                f"the recipe's adapter must be of this model, {checkpoint.config.name}, which it "
                f"is not at {name}: shape {wanted.get(name)}, not {given.get(name)}"
            )
    return AdaptedCheckpoint(checkpoint, adapter)


def pack_adapter(factors: Mapping[str, tuple[Tensor, Tensor]]) -> bytes:
    """Return an adapter's file; the same bytes for the same factors, which are rounded.

    All matrices of a kind must have factors, or none, and those of one rank.
    """
    arrays = {}
    for kind in _KINDS:
        found = [pair for name, pair in factors.items() if name.rpartition(".")[2] == kind]
        if not found:
            continue
        up, up_scale = _codes(torch.stack([up for up, _ in found]), dim=1)
        down, down_scale = _codes(torch.stack([down for _, down in found]), dim=2)
        arrays[f"{kind}/up"], arrays[f"{kind}/down"] = up.numpy(), down.numpy()
        arrays[f"{kind}/scale"] = (up_scale * down_scale).float().numpy()
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
    factors = {}
    for kind in dict.fromkeys(name.partition("/")[0] for name in arrays):
        parts = {part: arrays.get(f"{kind}/{part}") for part in _PARTS}
        missing = [part for part, values in parts.items() if values is None]
        if missing or not arrays.keys() <= names:
            raise ValueError("must have KIND/up, KIND/down and KIND/scale, and nothing else")
        for part, (dtype, dimensions) in _PARTS.items():
            values = parts[part]
            if values.dtype != dtype or values.ndim != dimensions or not np.isfinite(values).all():
                raise ValueError(
                    f"must have {kind}/{part} finite, of {np.dtype(dtype).name} and {dimensions} "
                    "dimensions"
                )
        up, down, scale = (torch.from_numpy(parts[part].astype("f4")) for part in _PARTS)
        if not up.shape[0] == down.shape[0] == scale.shape[0]:
            raise ValueError(f"must have {kind} for the same layers in up, down and scale")
        if not up.shape[2] == down.shape[1] == scale.shape[1]:
            raise ValueError(f"must have {kind} of the same rank in up, down and scale")
        if kind == "lm_head" and len(up) != 1:
            raise ValueError(f"must have lm_head once, not {len(up)} times")
        for layer in range(len(up)):
            name = kind if kind == "lm_head" else f"layers.{layer}.{kind}"
            factors[name] = up[layer] * scale[layer], down[layer]
    if not factors:
        raise ValueError("must have at least one KIND/up, KIND/down and KIND/scale")
    return Adapter(factors, raw)


def adapter_entry(adapter: Adapter | None) -> dict[str, str] | None:
    """Return an adapter as plain JSON values."""
    return None if adapter is None else {"npz": base64.b64encode(adapter.raw).decode()}


def adapter_of(entry: dict[str, str] | None) -> Adapter | None:
    """Return what `adapter_entry` made the entry of."""
    return None if entry is None else unpack_adapter(base64.b64decode(entry["npz"]))


def _codes(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Round to 8-bit codes, with a scale for each vector along `dim`; returns both."""
    scale = values.abs().amax(dim=dim, keepdim=True) / 127
    codes = (values / torch.where(scale > 0, scale, 1)).round()
    return codes.to(torch.int8), scale.squeeze(dim).double()
