"""Rotary position embedding (RoFormer, arXiv 2104.09864): frequencies, scaling and rotation."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "FactorScaling",
    "LinearScaling",
    "Llama3Scaling",
    "RopeScaling",
    "YarnScaling",
    "angles_table",
    "pair_order",
    "rope_table",
    "rotate",
]


@dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Position interpolation (arXiv 2306.15595): every frequency divided by `factor`."""

    factor: float

    attention_factor = 1.0

    def scale(self, frequencies: Tensor, theta: float) -> Tensor:
        """Return the scaled frequencies, shape (head_dim / 2,), in radians a position."""
        return frequencies / self.factor


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """LLaMA 3.1's: low frequencies divided by `factor`, high ones kept, a linear blend between."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int

    attention_factor = 1.0

    def scale(self, frequencies: Tensor, theta: float) -> Tensor:
        """Return the scaled frequencies, shape (head_dim / 2,), in radians a position."""
        turns = self.original_positions * frequencies / (2 * math.pi)
        band = self.high_freq_factor - self.low_freq_factor
        kept = ((turns - self.low_freq_factor) / band).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)


@dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """YaRN (arXiv 2309.00071): interpolation of the pairs that turn too seldom to extrapolate.

    Parameters
    ----------
    factor : float
        How many times longer the context is than the one trained on.
    original_positions : int
        The context trained on.
    attention_factor : float
        What cos and sin are multiplied by.
    beta_fast, beta_slow : float
        Turns within the trained context above which a pair is kept, and below which it is
        interpolated.
    whole_pairs : bool
        Whether the bounds between the two are rounded outwards to whole pairs.
    """

    factor: float
    original_positions: int
    attention_factor: float
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    whole_pairs: bool = True

    def scale(self, frequencies: Tensor, theta: float) -> Tensor:
        """Return the scaled frequencies, shape (head_dim / 2,), in radians a position."""
        pairs = len(frequencies)
        low = self._pair_turning(self.beta_fast, pairs, theta)
        high = self._pair_turning(self.beta_slow, pairs, theta)
        if self.whole_pairs:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, 2 * pairs - 1)
        index = torch.arange(pairs, dtype=frequencies.dtype)
        # The floor on the width keeps equal bounds from dividing zero by zero.
        interpolated = ((index - low) / max(high - low, 1e-3)).clamp(0, 1)
        return frequencies * (1 - interpolated + interpolated / self.factor)

    def _pair_turning(self, turns: float, pairs: int, theta: float) -> float:
        """Return the (real) pair that makes so many turns within the trained context."""
        return pairs * math.log(self.original_positions / (turns * 2 * math.pi)) / math.log(theta)


@dataclass(frozen=True, kw_only=True)
class FactorScaling:
    """A divisor for each pair, as GGUF files hold LLaMA 3.1's scaling (`rope_freqs.weight`)."""

    factors: tuple[float, ...]

    attention_factor = 1.0

    def scale(self, frequencies: Tensor, theta: float) -> Tensor:
        """Return the scaled frequencies, shape (head_dim / 2,), in radians a position."""
        return frequencies / torch.tensor(self.factors, dtype=frequencies.dtype)


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling | FactorScaling


def angles_table(
    positions: Tensor, head_dim: int, theta: float, scaling: RopeScaling | None
) -> tuple[Tensor, Tensor]:
    """Return cos and sin of the angles of each position, both (tokens, head_dim / 2) in float64.

    The angles are found in float64: a float32 angle of thousands of radians has few digits left.
    """
    pairs = torch.arange(head_dim // 2, dtype=torch.float64)
    frequencies = theta ** (-2 * pairs / head_dim)
    attention_factor = 1.0
    if scaling is not None:
        frequencies = scaling.scale(frequencies, theta)
        attention_factor = scaling.attention_factor
    angles = positions.to(torch.float64)[:, None] * frequencies  # (tokens, head_dim / 2)
    return angles.cos() * attention_factor, angles.sin() * attention_factor


def rope_table(
    positions: Tensor, head_dim: int, theta: float, scaling: RopeScaling | None
) -> tuple[Tensor, Tensor]:
    """Return `angles_table` in float32."""
    cos, sin = angles_table(positions, head_dim, theta, scaling)
    return cos.float(), sin.float()


def pair_order(head_dim: int, interleaved: bool) -> Tensor:
    """Return the channels of a head in the order that makes its pairs neighbours, (head_dim,)."""
    channels = torch.arange(head_dim)
    return channels if interleaved else channels.view(2, -1).T.flatten()


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """Turn the pairs of each head by the angles of its token.

    Parameters
    ----------
    x : Tensor
        Queries or keys, (tokens, heads, head_dim).
    cos, sin : Tensor
        From `rope_table`, (tokens, head_dim / 2).
    interleaved : bool
        Pair i is (x[2i], x[2i + 1]) where true (Meta's and llama2.c's layout), and
        (x[i], x[i + head_dim / 2]) where false (Hugging Face's).

    Returns
    -------
    Tensor
        Of the shape of `x`.
    """
    cos, sin = cos[:, None], sin[:, None]  # the same for every head
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
