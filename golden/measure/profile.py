"""How a model spikes on a text: what each site of each layer fires, counted and in part kept.

A profile is recorded from the integer model (`golden.measure.profiling`), so it holds what a
device would see, and kept in a file (`golden.measure.profile_file`), where the compiler reads it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import tensor_shapes
from golden.console.errors import ProfileError
from golden.measure.firing import FiringStatistics
from golden.numerics.codings import CODINGS
from golden.recipe.adapter import adapter_entry
from golden.recipe.exponents import exponents_entry
from golden.recipe.fold_file import fold_entry
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings

__all__ = [
    "BATCHES",
    "SPIKE_CODINGS",
    "Identity",
    "Profile",
    "SiteProfile",
    "gains_digest",
    "recipe_digest",
    "shapes_of",
]

SPIKE_CODINGS = tuple(coding for coding in CODINGS if coding != "binary")
"""The codings that hardware has."""
BATCHES = (1, 2, 4, 8)
"""Sizes of the batches of vectors whose events and steps are counted."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a profile is of.

    Attributes
    ----------
    model : str
        What people call the checkpoint.
    shapes : dict of str to int
        Figures of its configuration.
    gains : str
        SHA-256 of its gains and biases, `gains_digest`: they tell trained checkpoints apart, and
        are read in no time.
    recipe, recipe_sha256 : str
        The recipe's name, and `recipe_digest` of what it says.
    text, text_sha256 : str
        Name and SHA-256 of the text's file.
    context, windows, tokens : int
        Longest window in tokens, how many there were, and the tokens in all of them.
    """

    model: str
    shapes: dict[str, int]
    gains: str
    recipe: str
    recipe_sha256: str
    text: str
    text_sha256: str
    context: int
    windows: int
    tokens: int

    def require(self, checkpoint: Checkpoint, recipe: Recipe) -> None:
        """Raise `ProfileError` unless the profile is of this checkpoint and recipe."""
        if self.shapes != shapes_of(checkpoint):
            raise ProfileError(
                f"the profile is of {self.model}, a model of other dimensions than "
                f"{checkpoint.config.name}: record one of this model with python -m golden profile"
            )
        if self.gains != gains_digest(checkpoint):
            raise ProfileError(
                f"the profile is of another checkpoint than this {checkpoint.config.name}: record "
                "one of this with python -m golden profile"
            )
        if self.recipe_sha256 != recipe_digest(recipe):
            raise ProfileError(
                f"the profile is of the recipe {self.recipe}, which says something else than "
                f"{recipe.name}: record one with --recipe {recipe.name}"
            )


@dataclass(frozen=True, kw_only=True)
class SiteProfile:
    """What one site fired.

    Attributes
    ----------
    name : str
        Such as ``layers.3.qkv`` or ``head`` (`golden.checkpoint.names.site_of`); within attention
        ``layers.3.query`` and ``layers.3.probabilities``.
    channels : int
        Channels of a token's vector, those of all heads of a query together; 0 for probabilities,
        which are as many as the positions seen.
    max_count : int
        Largest spike count D.
    counts : ndarray
        How often each signed count occurred, that of -D first, int64, (2 D + 1,).
    fired : ndarray
        Tokens in which each channel fired, int64, (channels,).
    batches : ndarray
        For each of `BATCHES`, over batches of so many vectors (neighbouring tokens; within
        attention, the query heads of a kv head): channels there were, those that fired for any
        vector, and steps of the array in each of `SPIKE_CODINGS`; int64, (batches, 5).
    bitmaps : ndarray
        Which channels fired in the tokens that were kept, packed as `numpy.packbits` does, uint8,
        (kept tokens, bytes); none within attention.
    """

    name: str
    channels: int
    max_count: int
    counts: np.ndarray
    fired: np.ndarray
    batches: np.ndarray
    bitmaps: np.ndarray

    @property
    def values(self) -> int:
        """Vector elements seen."""
        return int(self.counts.sum())

    @property
    def silent(self) -> float:
        """Share of the elements that did not fire."""
        return float(self.counts[self.max_count] / max(1, self.values))

    def spikes(self, coding: str) -> float:
        """Return the spikes of an element, silent ones included."""
        return FiringStatistics.of(torch.from_numpy(self.counts)).spikes(coding) / max(
            1, self.values
        )

    def silent_in_batch(self, size: int) -> float:
        """Return the share of channels silent for all vectors of a batch of one of `BATCHES`."""
        slots, events = self.batches[BATCHES.index(size), :2]
        return float(1 - events / max(1, slots))

    def steps(self, coding: str, size: int = 1) -> float:
        """Return the steps of the array an event takes, in batches of one of `BATCHES`."""
        row = self.batches[BATCHES.index(size)]
        return float(row[2 + SPIKE_CODINGS.index(coding)] / max(1, row[1]))

    def firing(self) -> np.ndarray:
        """Return which channels fired in each kept token, bool, (kept tokens, channels)."""
        return np.unpackbits(self.bitmaps, axis=1, count=self.channels).astype(bool)

    def as_dict(self) -> dict[str, object]:
        """Return what people ask for as plain JSON values."""
        place, _, kind = self.name.rpartition(".")
        magnitudes = FiringStatistics.of(torch.from_numpy(self.counts)).histogram()
        rates = self.fired / max(1, self.values // max(1, self.channels))
        return {
            "layer": int(place.rpartition(".")[2]) if place else None,
            "site": kind,
            "channels": self.channels,
            "values": self.values,
            "silent": self.silent,
            "spikes_per_value": {coding: self.spikes(coding) for coding in SPIKE_CODINGS},
            "batches": {
                str(size): {
                    "silent": self.silent_in_batch(size),
                    "steps_per_event": {c: self.steps(c, size) for c in SPIKE_CODINGS},
                }
                for size in BATCHES
            },
            "rate_quartiles": (
                np.quantile(rates, (0, 0.25, 0.5, 0.75, 1)).tolist() if self.channels else None
            ),
            "histogram": magnitudes,
        }


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a model spikes on a text.

    Attributes
    ----------
    identity : Identity
        What it is of.
    sites : dict of str to SiteProfile
        By name, in the order they are reached.
    raster_layer : int
        The layer of the raster.
    raster : dict of str to ndarray
        Counts of the text's first tokens at the sites of that layer's matrices, int8,
        (tokens, channels).
    """

    identity: Identity
    sites: dict[str, SiteProfile]
    raster_layer: int
    raster: dict[str, np.ndarray]

    def site(self, layer: int | None, kind: str) -> SiteProfile:
        """Return a site by its layer, None for the head, and its kind."""
        return self.sites[kind if layer is None else f"layers.{layer}.{kind}"]

    def as_dict(self) -> dict[str, object]:
        """Return it as plain JSON values, without bitmaps and raster."""
        return {**asdict(self.identity), "sites": [s.as_dict() for s in self.sites.values()]}


def shapes_of(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the figures of a model's configuration that its sites follow from."""
    config = checkpoint.config
    names = ("vocab_size", "hidden_size", "ffn_size", "layers", "heads", "kv_heads", "head_dim")
    return {name: getattr(config, name) for name in names}


def gains_digest(checkpoint: Checkpoint) -> str:
    """Return the SHA-256, in hex, of a checkpoint's gains and biases in float32, by name."""
    digest = hashlib.sha256()
    for name, shape in tensor_shapes(checkpoint.config).items():
        if len(shape) == 1:
            digest.update(f"{name}\n".encode())
            values = checkpoint.tensor(name).contiguous().numpy()
            digest.update(values.astype("<f4", copy=False).data)
    return digest.hexdigest()


_LATER = {"weights": "rows", "scale_bits": 16, "shifts": 0}
"""Settings that older profiles' digests are without, and what they were then."""


def _said(settings: SiteSettings) -> dict[str, object]:
    return {key: v for key, v in vars(settings).items() if (key, v) not in _LATER.items()}


def recipe_digest(recipe: Recipe) -> str:
    """Return the SHA-256, in hex, of what a recipe says, whatever its name."""
    said = {
        "default": _said(recipe.default),
        "sites": {site: _said(settings) for site, settings in recipe.sites.items()},
        "layer_sites": {
            f"{layer}.{site}": _said(settings)
            for (layer, site), settings in recipe.layer_sites.items()
        },
        "fold": fold_entry(recipe.fold),
    }
    if recipe.adapter is not None:
        said["adapter"] = adapter_entry(recipe.adapter)
    if recipe.exponents is not None:
        said["exponents"] = exponents_entry(recipe.exponents)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
