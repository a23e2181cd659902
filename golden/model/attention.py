"""Attention in float, and which positions a token sees."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["attend", "visible"]


def visible(tokens: int, positions: int, window: int | None) -> Tensor:
    """Return which of all positions each of the last `tokens` sees, (tokens, positions)."""
    query = torch.arange(positions - tokens, positions)[:, None]
    key = torch.arange(positions)[None, :]
    seen = key <= query
    return seen if window is None else seen & (query - key < window)


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(head_dim)) v, each key/value head shared by a group of queries.

    Parameters
    ----------
    q : Tensor
        (tokens, heads, head_dim).
    k, v : Tensor
        (positions, kv_heads, head_dim).
    seen : Tensor
        Which positions each token sees, (tokens, positions), bool.

    Returns
    -------
    Tensor
        (tokens, heads * head_dim).
    """
    # PyTorch computes it without storing the scores, but only for a batch: here, of one.
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # (1, heads, tokens, head_dim)
    y = scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    return y[0].transpose(0, 1).flatten(1)
