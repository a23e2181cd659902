"""Vectors for a compiled layer: those of a real prompt, and random ones with every corner.

The vectors of a prompt are those that the spike-driven golden model makes with the recipe at hand:
every matrix before the site is quantized and applied by spikes, since that is what the accelerator
will meet. What lies between the matrices (norms, rotation, attention, SiLU) is in float.
"""

from collections.abc import Collection

import numpy as np
from torch import Tensor

from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.prompt import Prompt, prompt_ids
from golden.model.llama import Model
from golden.model.spiking import SpikingLinear
from golden.numerics.fixed import to_fixed
from golden.numerics.neuron import Site
from hw.contract.params import THRESHOLD_GROUP

__all__ = ["default_prompt", "prompt_vectors", "random_vectors"]

_PROMPTS = {"stories260k": "Once upon a time"}
_PROMPT = "The capital of France is"

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


def default_prompt(model: str) -> str:
    """Return a prompt that suits a model, by its name."""
    return _PROMPTS.get(model, _PROMPT)


def prompt_vectors(
    checkpoint: Checkpoint,
    linear: SpikingLinear,
    sites: Collection[str],
    prompt: Prompt,
    tokens: int,
) -> dict[str, np.ndarray]:
    """Return the vectors that reach some sites for the last tokens of a prompt.

    No more of the model runs than that takes.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    linear : SpikingLinear
        How its matrices are applied; it keeps those it quantizes.
    sites : collection of str
        Canonical names (`golden.checkpoint.names.site_of`).
    prompt : str or sequence of int
        Any text, or tokens.
    tokens : int
        How many of its tokens, from the last one backwards.

    Returns
    -------
    dict of str to ndarray
        By site, (tokens, channels) in int32 (Q15.16).

    Raises
    ------
    ValueError
        Where the prompt has fewer tokens than asked for, or more than the model holds.
    """
    ids = prompt_ids(checkpoint, prompt)
    if not 1 <= tokens <= len(ids):
        raise ValueError(
            f"tokens must be 1 to {len(ids)}, which the prompt {prompt!r} has, not {tokens}: "
            "choose a longer prompt or fewer tokens"
        )
    recorder = _Recorder(linear, sites)
    try:
        Model(checkpoint, recorder).forward(ids)
    except _Enough:
        pass
    return {site: to_fixed(x[-tokens:]).numpy() for site, x in recorder.seen.items()}


class _Enough(Exception):
    """Every site has been seen."""


class _Recorder:
    """A `Linear` that keeps what reaches some sites, and ends the run at the last."""

    def __init__(self, linear: SpikingLinear, sites: Collection[str]) -> None:
        self._linear, self._sites = linear, set(sites)
        self.seen: dict[str, Tensor] = {}

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        if site in self._sites:
            self.seen[site] = x
        if self._sites == self.seen.keys():
            raise _Enough
        return self._linear(site, name, x)


def random_vectors(rng: np.random.Generator, tokens: int, channels: int, site: Site) -> np.ndarray:
    """Return random vectors, each token one of the corners of encoding, in random order.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    tokens, channels : int
        Shape of the result.
    site : Site
        Whose dead zone and thresholds are approached.

    Returns
    -------
    ndarray of int32
        (tokens, channels); with at least as many tokens as there are corners, each is there.
    """
    corners = [_ordinary, _sparse, _silent, _extreme, _tiny, _near_dead_zone, _near_thresholds]
    corners += [_loud_and_quiet] * bool(site.shifts)
    picked = [corners[i % len(corners)] for i in range(tokens)]
    rng.shuffle(picked)
    vectors = [corner(rng, channels, site) for corner in picked]
    return np.clip(np.stack(vectors), _INT32_MIN, _INT32_MAX).astype(np.int32)


def _ordinary(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    scale = 2.0 ** rng.uniform(4, 30)
    return np.rint(rng.standard_normal(channels) * scale)


def _sparse(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    return _ordinary(rng, channels, site) * (rng.random(channels) < 0.05)


def _silent(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    return np.zeros(channels)


def _loud_and_quiet(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    """Draw groups whose loudest channels are powers of two apart, or just not."""
    peak = 2.0 ** rng.uniform(4, 30)
    groups = -(-channels // THRESHOLD_GROUP)
    loudest = np.floor(peak * 2.0 ** -rng.integers(0, 6, groups)) + rng.integers(-1, 2, groups)
    loudest[rng.integers(groups)] = peak
    scale = np.repeat(loudest, THRESHOLD_GROUP)[:channels]
    return np.rint(scale * rng.choice([-1, -0.9, 0, 0.01, 0.5, 1], channels))


def _extreme(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    """Both ends of the range: -2^31 has a magnitude that a signed element has not."""
    return rng.choice([_INT32_MIN, _INT32_MAX, 0], channels)


def _tiny(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    """Potentials so small that the threshold is its least, one lsb."""
    return rng.integers(-2, 3, channels)


def _near_dead_zone(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    near = site.dead_zone + rng.integers(-1, 2, channels)
    return near * rng.choice([-1, 1], channels)


def _near_thresholds(rng: np.random.Generator, channels: int, site: Site) -> np.ndarray:
    """Magnitudes around those where one spike more is fired, under the absmax rule."""
    peak = int(rng.integers(1, 1 << 31))
    spikes = rng.integers(0, site.max_count + 1, channels)
    step = peak * site.multiplier / (256 * site.max_count)
    near = np.rint((spikes + 0.5) * step) + rng.integers(-1, 2, channels)
    near[rng.integers(channels)] = peak
    return near * rng.choice([-1, 1], channels)
