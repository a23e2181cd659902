"""Channel exponents: static powers of two that outliers are divided by (numerics, section 2).

A site with exponents encodes x_k / 2^(e_k), and its spikes weigh 2^(e_k). Who makes its vector
divides: the norm before it, `up` before down, `v` before o. Matrices that take it stay as they are.

The file is an .npz archive: ``layers.3.qkv`` and the like are uint8, (channels / 4,), four
exponents a byte, the first in its lowest bits; a last byte may have some of 0 to spare.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.derived import DerivedCheckpoint
from golden.checkpoint.names import matrices, site_of
from golden.checkpoint.readers import StoredGrid
from golden.console.archive import read_archive
from golden.numerics.groups import GridRows
from golden.numerics.neuron import LARGEST_EXPONENT
from golden.recipe.fold import by_value_head

__all__ = [
    "Exponents",
    "ScaledCheckpoint",
    "apply_exponents",
    "exponents_entry",
    "exponents_of",
    "pack_exponents",
    "site_channels",
    "unpack_exponents",
]

_GAINS = {"attn_norm": "qkv", "ffn_norm": "gate_up"}
_ROWS = {"up": "down", "v": "o", "v_bias": "o"}


@dataclass(frozen=True, eq=False)
class Exponents:
    """Exponents from a file.

    Attributes
    ----------
    sites : dict of str to Tensor
        By site, such as ``layers.3.qkv``: int8, (channels,) or up to 3 more of 0.
    raw : bytes
        The file, which the same exponents are read from again.
    """

    sites: dict[str, Tensor]
    raw: bytes

    def of(self, site: str, channels: int) -> Tensor | None:
        """Return a site's exponents, int8, (channels,); None where it has none."""
        return self.sites[site][:channels] if site in self.sites else None


class ScaledCheckpoint(DerivedCheckpoint):
    """A checkpoint whose vectors reach its sites divided by their exponents."""

    def __init__(self, checkpoint: Checkpoint, exponents: Exponents) -> None:
        super().__init__(checkpoint, checkpoint.config)
        self._exponents = exponents

    def tensor(self, name: str) -> Tensor:
        """Return a tensor, divided along its rows where it makes the vector of a site."""
        return self.rows(name, 0, self.shape(name)[0])

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return rows of a tensor, exact."""
        values = self._checkpoint.rows(name, start, stop)
        divisor = self._divisor(name)
        if divisor is None:
            return values
        return values / divisor[start:stop].view(-1, *[1] * (values.dim() - 1))

    def grid(self, name: str) -> StoredGrid | None:
        """Return a matrix's grid, divided likewise."""
        grid, divisor = self._checkpoint.grid(name), self._divisor(name)
        if grid is None or divisor is None:
            return grid

        def read(first: int, end: int) -> GridRows:
            rows, by = grid.read(first, end), divisor[first:end, None].double()
            return replace(rows, d=rows.d / by, m=None if rows.m is None else rows.m / by)

        return replace(grid, read=read)

    def format(self, name: str) -> str:
        """Return what the file holds a tensor's numbers in."""
        return self._checkpoint.format(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._checkpoint.shape(name)

    def _divisor(self, name: str) -> Tensor | None:
        """Return 2^e of each row of a tensor, float32; None where it is 1."""
        prefix, _, kind = name.rpartition(".")
        if name == "final_norm":
            site = "head"
        elif kind in _GAINS:
            site = f"{prefix}.{_GAINS[kind]}"
        elif kind in _ROWS:
            site = f"{prefix}.{_ROWS[kind]}"
        else:
            return None
        exponents = self._exponents.of(site, site_channels(self.config, site))
        if exponents is None:
            return None
        if kind in ("v", "v_bias"):
            exponents = by_value_head(exponents, self.config)[:, 0].flatten()
        return torch.exp2(exponents.float())


def site_channels(config: ModelConfig, site: str) -> int:
    """Return the channels of a site's vectors."""
    kind = site.rpartition(".")[2]
    return {"o": config.heads * config.head_dim, "down": config.ffn_size}.get(
        kind, config.hidden_size
    )


def apply_exponents(checkpoint: Checkpoint, exponents: Exponents | None) -> Checkpoint:
    """Return a checkpoint that divides by exponents, or itself where there are none.

    Raises
    ------
    ValueError
        If they are another model's.
    """
    if exponents is None:
        return checkpoint
    config = checkpoint.config
    sites = {site_of(name) for name in matrices(config)}
    for site, e in exponents.sites.items():
        channels = site_channels(config, site)
        if site not in sites or len(e) != -(-channels // 4) * 4 or e[channels:].any():
            raise ValueError(
                f"the recipe's exponents must be of this model, {config.name}, which they are not "
                f"at {site}"
            )
        if site.endswith(".o"):
            by_head = by_value_head(e[:channels], config)
            if not (by_head == by_head[:, :1]).all():
                raise ValueError(
                    f"the recipe's exponents must be equal for query heads that share values, "
                    f"which they are not at {site}"
                )
    return ScaledCheckpoint(checkpoint, exponents)


def pack_exponents(sites: Mapping[str, Tensor]) -> bytes:
    """Return the file of exponents, integers from 0 to 3; the same bytes for the same ones."""
    arrays = {}
    for site, e in sites.items():
        padded = np.zeros(-(-len(e) // 4) * 4, np.uint8)
        padded[: len(e)] = e.numpy()
        arrays[site] = (padded.reshape(-1, 4) << np.arange(0, 8, 2, dtype=np.uint8)).sum(
            axis=1, dtype=np.uint8
        )
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def unpack_exponents(raw: bytes) -> Exponents:
    """Return the exponents of a file.

    Raises
    ------
    ValueError
        Where the bytes are no exponents'; the message goes on after the file's name.
    """
    sites = {}
    for site, packed in read_archive(io.BytesIO(raw)).items():
        if packed.dtype != np.uint8 or packed.ndim != 1 or not len(packed):
            raise ValueError(f"must have arrays of uint8 and one dimension, which {site} is not")
        e = packed[:, None] >> np.arange(0, 8, 2, dtype=np.uint8) & LARGEST_EXPONENT
        sites[site] = torch.from_numpy(e.flatten().astype(np.int8))
    if not sites:
        raise ValueError("must have the exponents of at least one site")
    return Exponents(sites, raw)


def exponents_entry(exponents: Exponents | None) -> dict[str, str] | None:
    """Return exponents as plain JSON values."""
    return None if exponents is None else {"npz": base64.b64encode(exponents.raw).decode()}


def exponents_of(entry: dict[str, str] | None) -> Exponents | None:
    """Return what `exponents_entry` made the entry of."""
    return None if entry is None else unpack_exponents(base64.b64decode(entry["npz"]))
