"""Keys and values as codes, and attention by spikes over them (numerics, section 9)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics import vector
from golden.numerics.accumulation import accumulate
from golden.numerics.fixed import bit_length
from golden.numerics.neuron import Encoded, Site, encode_vectors, fire, threshold
from golden.numerics.requantization import requantize
from golden.numerics.weights import QuantizedWeight
from hw.contract.params import CACHE_COUNT, CACHE_WIDTH, OUTPUT_EXPONENT, OUTPUT_MANTISSA

__all__ = ["Attention", "Rows", "attend", "encode_rows"]

_ROW = Site(rule="absmax", max_count=CACHE_COUNT, multiplier=256, divisor=CACHE_COUNT)


@dataclass(frozen=True)
class Rows:
    """Key or value rows: each is worth ``codes * mantissa * 2^-exponent``.

    Attributes
    ----------
    codes : Tensor
        int8, (positions, kv_heads, head_dim).
    mantissa, exponent : Tensor
        int32, (positions, kv_heads).
    """

    codes: Tensor
    mantissa: Tensor
    exponent: Tensor

    def first(self, positions: int) -> "Rows":
        """Return the rows of the first positions."""
        return Rows(self.codes[:positions], self.mantissa[:positions], self.exponent[:positions])


def encode_rows(x: Tensor) -> Rows:
    """Encode key or value rows, Q15.16, int32, (positions, kv_heads, head_dim)."""
    flat = x.flatten(0, 1)
    v = threshold(flat, _ROW)
    e = bit_length(v) - 16
    shape = x.shape[:2]
    mantissa, exponent = (v >> e).to(torch.int32), (40 - e).to(torch.int32)
    codes = fire(flat, v, _ROW)
    return Rows(codes.view(x.shape), mantissa.view(shape), exponent.view(shape))


@dataclass(frozen=True)
class Attention:
    """What attention makes of a batch of tokens' queries.

    Attributes
    ----------
    query : Encoded
        Of (tokens * heads, head_dim).
    scores : Tensor
        q k^T in Q15.16, int32, (tokens, heads, positions).
    probabilities : Encoded
        Of w, (tokens * heads, positions).
    y : Tensor
        Q15.16, int32, (tokens, heads * head_dim).
    """

    query: Encoded
    scores: Tensor
    probabilities: Encoded
    y: Tensor


def attend(
    q: Tensor,
    keys: Rows,
    values: Rows,
    seen: Tensor,
    query: Site,
    probabilities: Site,
    dead_quantile: float = 0.0,
) -> Attention:
    """Attend by spike counts, each key/value head shared by a group of queries.

    Parameters
    ----------
    q : Tensor
        Rotated queries in Q15.16, int32, (tokens, heads, head_dim).
    keys, values : Rows
        Of the positions up to the last token.
    seen : Tensor
        Which positions each token sees, (tokens, positions), bool.
    query, probabilities : Site
        How queries and softmax's results are encoded.
    dead_quantile : float
        Share of each query's channels silenced at run time.
    """
    tokens, heads, head_dim = q.shape
    positions, kv_heads = keys.mantissa.shape
    group = heads // kv_heads
    by_head = (tokens, kv_heads, group, -1)

    encoded = encode_vectors(q.flatten(0, 1), query, dead_quantile)
    counts, v = encoded.spikes.view(by_head), encoded.v.view(tokens, kv_heads, group)
    scores = torch.empty(tokens, kv_heads, group, positions, dtype=torch.int32)
    for h in range(kv_heads):  # the keys of a head are a weight matrix
        key = QuantizedWeight(
            keys.codes[:, h], keys.mantissa[:, h], keys.exponent[:, h], CACHE_WIDTH
        )
        y = accumulate(counts[:, h].flatten(0, 1), key.codes)
        scaled = requantize(y, v[:, h].flatten(), key, None)
        scores[:, h] = scaled.view(tokens, group, positions)

    w = vector.softmax(
        scores,
        seen[:, None, None],
        values.mantissa.T[:, None],  # (kv_heads, 1, positions)
        values.exponent.T[:, None],
        vector.softmax_multiplier(head_dim),
    )
    spent = encode_vectors(w.view(tokens * heads, positions), probabilities)
    counts, v = spent.spikes.view(by_head), spent.v.view(tokens, kv_heads, group)
    scale = torch.ones(head_dim, dtype=torch.int32)
    out = torch.empty(tokens, kv_heads, group, head_dim, dtype=torch.int32)
    for h in range(kv_heads):
        value = QuantizedWeight(
            values.codes[:, h].T, scale * OUTPUT_MANTISSA, scale * OUTPUT_EXPONENT, CACHE_WIDTH
        )
        y = accumulate(counts[:, h].flatten(0, 1), value.codes)
        scaled = requantize(y, v[:, h].flatten(), value, None)
        out[:, h] = scaled.view(tokens, group, head_dim)
    return Attention(encoded, scores.flatten(1, 2), spent, out.view(tokens, heads * head_dim))
