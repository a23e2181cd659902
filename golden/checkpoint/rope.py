"""Rotary position embedding (RoFormer, arXiv 2104.09864): frequencies, scaling and rotation."""

import torch
from torch import Tensor

from golden.checkpoint.rope_scaling import (
    FactorScaling,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
)

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
