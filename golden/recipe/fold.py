"""Exact foldings: from a checkpoint to one that computes the same, but spikes better.

Three changes cancel out in real arithmetic and leave the hardware nothing new to do:

- the gain of each norm moves into the matrices that read it;
- the residual stream is turned to its principal axes: RMSNorm does not see a rotation, so all that
  writes to the stream is rotated and all that reads it rotated back (QuaRot, arXiv 2404.00456, with
  axes that concentrate in place of ones that spread);
- each channel k of a site is multiplied by some d_k by what makes it, which is the gain of a norm,
  the rows of `up` or those of `v`, and divided by it by what reads it (SmoothQuant, 2211.10438).

Both are found on a text: the axes are those of the normed stream over all its readers;
d_k = s_k / (s_k * m_k)^a with a from 0.3 to 0.5, where s_k is the root mean square of the loss's
gradient by the channel and m_k its largest magnitude. So a magnitude says how much a channel
matters, and small ones may fall silent; outliers, which set the threshold, are held back. A recipe
holds the text, or what was found (`golden.recipe.fold_file`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from golden.calibration.sensitivity import reached
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.derived import DerivedCheckpoint
from golden.checkpoint.names import MATRICES
from golden.model.llama import Model

__all__ = ["Fold", "FoldedCheckpoint", "find_fold", "fold"]

# 0: magnitude is importance; 0.5: thresholds lose the least. By kind of site, as measured on
# SmolLM2-135M, whose attention hangs on few tokens with large outliers.
_OUTLIERS = {"qkv": 0.5, "gate_up": 0.4}
_OUTLIERS_ELSEWHERE = 0.3
_WINDOW = 512
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
        """Return a folded tensor, float32; errors are those of `Checkpoint.tensor`."""
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
        return d if site.endswith("down") else _of_values(d, self.config)[:, 0].flatten()


@lru_cache(maxsize=1)  # it takes a while, and compiler and golden model want the same one
def fold(checkpoint: Checkpoint, source: "str | Fold | None") -> "Checkpoint | FoldedCheckpoint":
    """Return a checkpoint with a fold in it: `source`, or what is found on this text, or none.

    Raises
    ------
    ValueError
        If the fold is another model's, or the text has less than 2 tokens.
    """
    if source is None:
        return checkpoint
    if isinstance(source, str):
        return FoldedCheckpoint(
            checkpoint, find_fold(checkpoint, checkpoint.tokenizer.encode(source))
        )
    _require_shapes(checkpoint, source)
    return FoldedCheckpoint(checkpoint, source)


def _require_shapes(checkpoint: Checkpoint, found: Fold) -> None:
    config = checkpoint.config
    wanted = {site: tuple(d.shape) for site, d in _gains_only(config).scales.items()}
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


def find_fold(checkpoint: Checkpoint, ids: Sequence[int]) -> Fold:
    """Find axes and scales on a text's tokens, in windows of 512 that do not overlap."""
    plain = Model(FoldedCheckpoint(checkpoint, _gains_only(checkpoint.config)))
    window = min(_WINDOW, plain.config.max_positions)
    vectors: dict[str, list[Tensor]] = {}  # of sites on the stream
    peaks: dict[str, Tensor] = {}  # of the others
    slopes: dict[str, Tensor] = {}  # sums of g g^T of a site on the stream, of g^2 elsewhere
    for start in range(0, len(ids), window):
        part = ids[start : start + window]
        if len(part) < 2:
            break
        for site, (x, g) in reached(plain, part).items():
            g = g.double()
            if _on_stream(site):
                vectors.setdefault(site, []).append(x)
            else:
                peak = x.abs().amax(dim=0).double()
                peaks[site] = torch.maximum(peaks.get(site, peak), peak)
            total = g.T @ g if _on_stream(site) else g.square().sum(dim=0)
            slopes[site] = slopes.get(site, 0) + total
    if not vectors:
        raise ValueError("the text of a fold must have at least 2 tokens")
    spread: Tensor | int = 0  # of the stream, (hidden_size, hidden_size)
    for parts in vectors.values():
        x = torch.cat(parts).double()
        spread = spread + x.T @ x
    axes = torch.linalg.eigh(spread)[1].flip(1)
    scales = {}
    for site, slope in slopes.items():
        if _on_stream(site):
            slope = (slope @ axes * axes).sum(dim=0)
            largest = (torch.cat(vectors[site]).double() @ axes).abs().amax(dim=0)
        else:
            largest = peaks[site]
        if site.endswith(".o"):  # query heads that share values share their scales
            by_head = _of_values(slope, plain.config)
            slope = by_head.mean(dim=1, keepdim=True).expand_as(by_head).flatten()
            by_head = _of_values(largest, plain.config)
            largest = by_head.amax(dim=1, keepdim=True).expand_as(by_head).flatten()
        outliers = _OUTLIERS.get(site.rpartition(".")[2], _OUTLIERS_ELSEWHERE)
        scales[site] = _scales(slope.sqrt(), largest, outliers)
    return Fold(axes, scales)


def _scales(slope: Tensor, largest: Tensor, outliers: float) -> Tensor:
    """Return d of a site with geometric mean 1; a channel that never moves keeps the mean."""
    log = (1 - outliers) * slope.log() - outliers * largest.log()
    known = log.isfinite()
    if not known.any():
        return torch.ones_like(log)
    mean = log[known].mean()
    return torch.where(known, log - mean, 0).clamp(-8, 8).exp()


def _gains_only(config: ModelConfig) -> Fold:
    widths = {"qkv": config.hidden_size, "gate_up": config.hidden_size, "down": config.ffn_size}
    widths["o"] = config.heads * config.head_dim
    scales = {
        f"layers.{i}.{site}": torch.ones(width, dtype=torch.float64)
        for i in range(config.layers)
        for site, width in widths.items()
    }
    scales["head"] = torch.ones(config.hidden_size, dtype=torch.float64)
    return Fold(None, scales)


def _on_stream(site: str) -> bool:
    return not site.endswith((".o", ".down"))


def _of_values(channels: Tensor, config) -> Tensor:
    """View the channels of o as (kv_heads, query heads of each, head_dim)."""
    return channels.view(config.kv_heads, -1, config.head_dim)
