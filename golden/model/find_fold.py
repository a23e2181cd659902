"""What to fold into a checkpoint (`golden.recipe.fold`), found on a text.

The axes are those of the normed stream over all its readers; d_k = s_k / (s_k * m_k)^a with a from
0.3 to 0.5, where s_k is the root mean square of the loss's gradient by the channel and m_k its
largest magnitude. So a magnitude says how much a channel matters, and small ones may fall silent;
outliers, which set the threshold, are held back.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.model.gradients import reached
from golden.model.llama import Model
from golden.recipe.fold import Fold, FoldedCheckpoint, by_value_head, gains_only

__all__ = ["find_fold"]

# 0: magnitude is importance; 0.5: thresholds lose the least. By kind of site, as measured on
# SmolLM2-135M, whose attention hangs on few tokens with large outliers.
_OUTLIERS = {"qkv": 0.5, "gate_up": 0.4}
_OUTLIERS_ELSEWHERE = 0.3
_WINDOW = 512


def find_fold(checkpoint: Checkpoint, ids: Sequence[int]) -> Fold:
    """Find axes and scales on a text's tokens, in windows of 512 that do not overlap."""
    plain = Model(FoldedCheckpoint(checkpoint, gains_only(checkpoint.config)))
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
            by_head = by_value_head(slope, plain.config)
            slope = by_head.mean(dim=1, keepdim=True).expand_as(by_head).flatten()
            by_head = by_value_head(largest, plain.config)
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


def _on_stream(site: str) -> bool:
    return not site.endswith((".o", ".down"))
