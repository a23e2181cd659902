"""Exact foldings: from a checkpoint to one that computes the same, but spikes better.

Three changes cancel out in real arithmetic and leave the hardware nothing new to do:

- the gain of each norm moves into the matrices that read it;
- the residual stream is turned to its principal axes: RMSNorm does not see a rotation, so all that
  writes to the stream is rotated and all that reads it rotated back (QuaRot, arXiv 2404.00456, with
  axes that concentrate in place of ones that spread);
- each channel k of a site is multiplied by some d_k by what makes it, which is the gain of a norm,
  the rows of `up` or those of `v`, and divided by it by what reads it (SmoothQuant, 2211.10438).

Here a fold is applied; `golden.model.find_fold` finds axes and d on a text. A recipe holds the
text, or what was found (`golden.recipe.fold_file`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.derived import DerivedCheckpoint
from golden.checkpoint.names import MATRICES

__all__ = ["Fold", "FoldedCheckpoint", "apply_fold", "by_value_head", "gains_only"]

_GAINS = {"qkv": "attn_norm", "gate_up": "ffn_norm", "head": "final_norm"}
_NORMS = {"attn_norm": "qkv", "ffn_norm": "gate_up"}
_FEEDS = {"v": "o", "up": "down"}  # matrices whose outputs are another site's channels


@dataclass(frozen=True, eq=False)
class Fold:
    """What is folded into a checkpoint, beside the gains of its norms.

    Attributes
    ----------
    axes : Tensor or None
        float64, (hidden_size, hidden_size), orthogonal: column j is the new channel j. None: the
        stream stays as it is.
    scales : dict of str to Tensor
        d by site, float64, (channels,).
    """

    axes: Tensor | None
    scales: dict[str, Tensor]


class FoldedCheckpoint(DerivedCheckpoint):
    """A checkpoint with a fold in its tensors; a tied output head becomes its own."""

    def __init__(self, checkpoint: Checkpoint, found: Fold) -> None:
        super().__init__(checkpoint, replace(checkpoint.config, tied_head=False))
        self._fold = found

    def tensor(self, name: str) -> Tensor:
        """Return a folded tensor, float32; errors are those of `LoadedCheckpoint.tensor`."""
        self.shape(name)
        scales = self._fold.scales
        place, _, kind = name.rpartition(".")
        prefix = f"{place}." if place else ""
        if name == "final_norm":
            return scales["head"].float()
        if kind in _NORMS:
            return scales[prefix + _NORMS[kind]].float()
        t = self._checkpoint.tensor(name)
        if kind in ("q_bias", "k_bias", "q_norm", "k_norm"):
            return t
        t = t.double()
        if name == "embed":
            return self._turned(t).float()
        if kind == "v_bias":
            return (t * self._rows(prefix + "o")).float()
        site = "head" if name == "lm_head" else prefix + MATRICES[kind]
        if kind in ("o", "down"):
            return self._turned((t / scales[site]).T).T.float()
        gain = self._checkpoint.tensor(prefix + _GAINS[MATRICES.get(kind, "head")]).double()
        t = self._turned(t * gain) / scales[site]
        if kind in _FEEDS:
            t = t * self._rows(prefix + _FEEDS[kind])[:, None]
        return t.float()

    def _turned(self, t: Tensor) -> Tensor:
        """Rotate rows that are vectors of the stream."""
        return t if self._fold.axes is None else t @ self._fold.axes

    def _rows(self, site: str) -> Tensor:
        """Return a site's scales by the outputs that make its channels: of o, those of v."""
        d = self._fold.scales[site]
        return d if site.endswith("down") else by_value_head(d, self.config)[:, 0].flatten()


def apply_fold(checkpoint: Checkpoint, found: Fold | None) -> Checkpoint:
    """Return a checkpoint with a fold in it, or itself where there is none.

    Raises
    ------
    ValueError
        If the fold is another model's.
    """
    if found is None:
        return checkpoint
    _require_shapes(checkpoint, found)
    return FoldedCheckpoint(checkpoint, found)


def _require_shapes(checkpoint: Checkpoint, found: Fold) -> None:
    config = checkpoint.config
    wanted = {site: tuple(d.shape) for site, d in gains_only(config).scales.items()}
    given = {site: tuple(d.shape) for site, d in found.scales.items()}
    for site in sorted(wanted.keys() | given.keys()):
        if wanted.get(site) != given.get(site):
            raise ValueError(
                f"the recipe's fold must be of this model, {config.name}, which it is not at the "
                f"site {site}: channels {_channels(wanted, site)}, not {_channels(given, site)}"
            )
    if found.axes is not None and len(found.axes) != config.hidden_size:
        raise ValueError(
            f"the recipe's fold must be of this model, {config.name}, whose stream has "
            f"{config.hidden_size} channels, not {len(found.axes)}"
        )


def _channels(shapes: dict[str, tuple[int, ...]], site: str) -> int:
    return shapes[site][0] if site in shapes else 0


def gains_only(config: ModelConfig) -> Fold:
    """Return the fold that moves the gains of the norms and nothing else."""
    widths = {"qkv": config.hidden_size, "gate_up": config.hidden_size, "down": config.ffn_size}
    widths["o"] = config.heads * config.head_dim
    scales = {
        f"layers.{i}.{site}": torch.ones(width, dtype=torch.float64)
        for i in range(config.layers)
        for site, width in widths.items()
    }
    scales["head"] = torch.ones(config.hidden_size, dtype=torch.float64)
    return Fold(None, scales)


def by_value_head(channels: Tensor, config: ModelConfig) -> Tensor:
    """View the channels of o as (kv_heads, query heads of each, head_dim)."""
    return channels.view(config.kv_heads, -1, config.head_dim)
