"""Attention in float, with the keys and values it remembers."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from golden.checkpoint.config import ModelConfig

__all__ = ["KVCache", "attend", "visible"]


class KVCache:
    """Keys and values of the tokens so far, by layer.

    Parameters
    ----------
    config : ModelConfig
        The model.
    positions : int
        How many tokens it holds, at most `config.max_positions`.
    """

    def __init__(self, config: ModelConfig, positions: int) -> None:
        if not 1 <= positions <= config.max_positions:
            raise ValueError(f"positions must be in [1, {config.max_positions}], not {positions}")
        shape = (config.layers, positions, config.kv_heads, config.head_dim)
        self.positions = positions
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)

    def extend(self, layer: int, start: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put in the keys and values of tokens `start` and on; return all up to the last one.

        All four are (tokens, kv_heads, head_dim).
        """
        end = start + len(k)
        self.keys[layer, start:end], self.values[layer, start:end] = k, v
        return self.keys[layer, :end], self.values[layer, :end]


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
