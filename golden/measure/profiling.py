"""Records a profile: runs the integer model over a text, and counts what its sites fire."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.measure.firing import FiringStatistics
from golden.measure.profile import (
    BATCHES,
    SPIKE_CODINGS,
    Identity,
    Profile,
    SiteProfile,
    gains_digest,
    recipe_digest,
    shapes_of,
)
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import Encoded, encode_vectors
from golden.recipe.recipe import Recipe

__all__ = ["KEPT_TOKENS", "record"]

KEPT_TOKENS = 512
"""Tokens whose firing channels are kept, spread over the text."""
_RASTER_TOKENS = 32
_ATTENTION = ("query", "probabilities")


@dataclass
class _Recorder:
    """Counts of one site, added up batch by batch."""

    statistics: FiringStatistics
    group: int  # vectors of a token that share weights, 1 but within attention
    fired: Tensor | int = 0
    batches: np.ndarray = field(
        default_factory=lambda: np.zeros((len(BATCHES), 2 + len(SPIKE_CODINGS)), np.int64)
    )
    bitmaps: list[np.ndarray] = field(default_factory=list)

    def add(self, encoded: Encoded, there: Tensor | None) -> None:
        self.statistics.add(encoded, there)
        counts = encoded.counts.numpy()  # (vectors, channels)
        present = None if there is None else there.numpy()  # what is not there does not fire
        magnitudes = np.abs(counts.astype(np.int16))
        d = self.statistics.max_count
        masks = [_steps(d, coding)[magnitudes] for coding in ("bitwise", "csd")]
        for row, size in enumerate(BATCHES):
            peak = _batched(magnitudes, size, self.group, np.maximum)
            union = [_batched(mask, size, self.group, np.bitwise_or) for mask in masks]
            slots = peak.size
            if present is not None:
                slots = int(_batched(present, size, self.group, np.maximum).sum())
            steps = (int(np.bitwise_count(mask).sum()) for mask in union)
            self.batches[row] += [slots, np.count_nonzero(peak), int(peak.sum()), *steps]


def _batched(x: np.ndarray, size: int, group: int, merge: np.ufunc) -> np.ndarray:
    """Merge each batch of at most `size` of the `group` vectors of a token, or of all tokens."""
    if group == 1:
        return merge.reduceat(x, np.arange(0, len(x), size), axis=0)
    x = x.reshape(-1, group, x.shape[1])
    return merge.reduceat(x, np.arange(0, group, size), axis=1).reshape(-1, x.shape[2])


@cache
def _steps(max_count: int, coding: str) -> np.ndarray:
    """Return, for each magnitude, which steps of a positional coding fire, as bits."""
    magnitudes = torch.arange(max_count + 1)
    fires = encode(magnitudes, coding, time_steps_for(max_count, coding)).ne(0).numpy()  # (T, D+1)
    places = 1 << np.arange(len(fires), dtype=np.uint16)
    return (fires * places[:, None]).sum(axis=0).astype(np.uint16)


def record(
    checkpoint: Checkpoint,
    recipe: Recipe,
    windows: Sequence[Sequence[int]],
    *,
    text: tuple[str, str],
    context: int,
    keep: int = KEPT_TOKENS,
    progress: Callable[[], None] = lambda: None,
) -> Profile:
    """Run the integer model over windows of a text, and record what its sites fire.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    recipe : Recipe
        How it is made spike-driven; its fold is applied first.
    windows : sequence
        Of token ids; no token sees another window.
    text : tuple of str and str
        Name and SHA-256 of what they are from.
    context : int
        Longest window.
    keep : int
        Tokens whose firing channels are kept at most, evenly spread.
    progress : callable
        Called after each window.
    """
    tokens = sum(map(len, windows))
    if not tokens:
        raise ValueError("the text of a profile must have at least one token")
    config = checkpoint.config
    stride = max(1, -(-tokens // max(1, keep)))
    raster_layer = config.layers // 2
    recorders: dict[str, _Recorder] = {}
    raster: dict[str, np.ndarray] = {}
    at = 0  # the first token of the window

    def observe(site: str, encoded: Encoded, there: Tensor | None = None) -> None:
        kind = site.rpartition(".")[2]
        within = kind in _ATTENTION
        if site not in recorders:
            group = config.heads // config.kv_heads if within else 1
            recorders[site] = _Recorder(FiringStatistics(encoded.site.max_count), group)
        recorder = recorders[site]
        recorder.add(encoded, there)
        if kind == "probabilities":
            return
        fires = encoded.counts != 0
        if within:
            fires = fires.view(-1, config.heads * config.head_dim)
        recorder.fired = recorder.fired + fires.sum(dim=0)
        if within:
            return
        recorder.bitmaps.append(np.packbits(fires[-at % stride :: stride].numpy(), axis=1))
        if site.startswith(f"layers.{raster_layer}.") and site not in raster:
            raster[site] = encoded.counts[:_RASTER_TOKENS].numpy()

    model = IntegerModel(prepare(checkpoint, recipe), recipe, observe_site=observe)
    head = recipe.site(None, "head", config.hidden_size)
    for ids in windows:
        x = model.norm("final_norm", model.hidden(ids))
        observe("head", encode_vectors(x, head, recipe.dead_quantile(None, "head")))
        at += len(ids)
        progress()
    identity = Identity(
        model=config.name,
        shapes=shapes_of(checkpoint),
        gains=gains_digest(checkpoint),
        recipe=recipe.name,
        recipe_sha256=recipe_digest(recipe),
        text=text[0],
        text_sha256=text[1],
        context=context,
        windows=len(windows),
        tokens=tokens,
    )
    sites = {name: _finished(name, recorder) for name, recorder in recorders.items()}
    return Profile(identity=identity, sites=sites, raster_layer=raster_layer, raster=raster)


def _finished(name: str, recorder: _Recorder) -> SiteProfile:
    fired = np.zeros(0, np.int64) if isinstance(recorder.fired, int) else recorder.fired.numpy()
    empty = np.zeros((0, 0), np.uint8)
    return SiteProfile(
        name=name,
        channels=len(fired),
        max_count=recorder.statistics.max_count,
        counts=recorder.statistics.counts.numpy(),
        fired=fired,
        batches=recorder.batches,
        bitmaps=np.concatenate(recorder.bitmaps) if recorder.bitmaps else empty,
    )
