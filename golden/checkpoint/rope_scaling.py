"""Longer contexts than a model was trained on: how frequencies of its positions are scaled.

Nothing is imported from torch: what a checkpoint says of its model is read without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FactorScaling", "LinearScaling", "Llama3Scaling", "RopeScaling", "YarnScaling"]


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
        index = frequencies.new_tensor(range(pairs))
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
        return frequencies / frequencies.new_tensor(self.factors)


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling | FactorScaling
