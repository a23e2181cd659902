"""The LLaMA family in float: what `transformers` computes, with every matrix behind one call.

A single sequence passes at a time, so that vectors are (tokens, channels) throughout.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear as matmul
from torch.nn.functional import silu

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import bias_of, site_of
from golden.checkpoint.rope import rope_table, rotate
from golden.model.attention import attend, visible
from golden.model.kv_cache import FloatCache, KVCache

__all__ = ["FloatLinear", "Linear", "Model", "Span", "rms_norm"]


class Linear(Protocol):
    """How a matrix is applied: in float here, by spikes in `golden.model.spiking`."""

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        """Return W x + b.

        Parameters
        ----------
        site : str
            Where the vectors are encoded; matrices of one site get the same tensor, one after
            another.
        name : str
            The matrix, such as `layers.3.q` or `lm_head`.
        x : Tensor
            (tokens, inputs), float32.

        Returns
        -------
        Tensor
            (tokens, outputs), float32.
        """
        ...


class FloatLinear:
    """Every matrix in float32, kept once it has been read.

    Parameters
    ----------
    config : ModelConfig
        Says which matrices have a bias.
    tensor : callable
        Returns a tensor by its canonical name.
    """

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor]) -> None:
        self.config, self.tensor = config, tensor

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        """Return W x + b, (tokens, outputs)."""
        bias = bias_of(name, self.config)
        return matmul(x, self.tensor(name), None if bias is None else self.tensor(bias))


@dataclass(frozen=True)
class Span:
    """The tokens of one pass: the position of the first, their rotations, and the cache if any."""

    start: int
    cos: Tensor  # (tokens, head_dim / 2)
    sin: Tensor
    cache: KVCache | None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return x / sqrt(mean(x^2) + eps) * weight over the last dimension (arXiv 1910.07467)."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


class Model:
    """A decoder that predicts the next token of one sequence.

    Parameters
    ----------
    checkpoint : Checkpoint
        Configuration and weights; a weight is read when it is first needed, and kept.
    linear : Linear, optional
        How matrices are applied; float by default.
    """

    def __init__(self, checkpoint: Checkpoint, linear: Linear | None = None) -> None:
        self.checkpoint, self.config = checkpoint, checkpoint.config
        self.linear = linear or FloatLinear(self.config, self.tensor)
        self._tensors: dict[str, Tensor] = {}

    def tensor(self, name: str) -> Tensor:
        """Return a weight by its canonical name; it is read once."""
        if name == "lm_head" and self.config.tied_head:
            name = "embed"
        if name not in self._tensors:
            self._tensors[name] = self.checkpoint.tensor(name)
        return self._tensors[name]

    def matrix(self, name: str, x: Tensor) -> Tensor:
        """Apply a matrix to (tokens, inputs); returns (tokens, outputs)."""
        return self.linear(site_of(name), name, x)

    def cache(self, positions: int) -> KVCache:
        """Return an empty cache for so many tokens."""
        return FloatCache(self.config, positions)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the rows of tokens in the embedding table, (tokens, hidden_size)."""
        return self.tensor("embed")[tokens]

    def rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines of positions, both (tokens, head_dim / 2)."""
        config = self.config
        return rope_table(positions, config.head_dim, config.rope_theta, config.rope_scaling)

    def next_token(self, x: Tensor) -> int:
        """Return the likeliest token after the last one of the residual stream."""
        return int(self.head(x[-1:]).argmax())

    def attention(self, layer: int, x: Tensor, span: Span) -> Tensor:
        """Return what attention adds to the residual stream, (tokens, hidden_size)."""
        config, prefix = self.config, f"layers.{layer}."
        tokens = len(x)
        q = self.matrix(prefix + "q", x).view(tokens, config.heads, config.head_dim)
        k = self.matrix(prefix + "k", x).view(tokens, config.kv_heads, config.head_dim)
        v = self.matrix(prefix + "v", x).view(tokens, config.kv_heads, config.head_dim)
        if config.qk_norm:
            q = rms_norm(q, self.tensor(prefix + "q_norm"), config.norm_eps)
            k = rms_norm(k, self.tensor(prefix + "k_norm"), config.norm_eps)
        q = rotate(q, span.cos, span.sin, config.rope_interleaved)
        k = rotate(k, span.cos, span.sin, config.rope_interleaved)
        if span.cache is not None:
            k, v = span.cache.extend(layer, span.start, k, v)
        seen = visible(tokens, len(k), config.window(layer))
        return self.matrix(prefix + "o", attend(q, k, v, seen))

    def feed_forward(self, layer: int, x: Tensor) -> Tensor:
        """Return what SwiGLU adds to the residual stream, (tokens, hidden_size)."""
        prefix = f"layers.{layer}."
        gate, up = self.matrix(prefix + "gate", x), self.matrix(prefix + "up", x)
        return self.matrix(prefix + "down", silu(gate) * up)

    def block(self, layer: int, x: Tensor, span: Span) -> Tensor:
        """Pass the residual stream, (tokens, hidden_size), through one layer."""
        prefix, eps = f"layers.{layer}.", self.config.norm_eps
        normed = rms_norm(x, self.tensor(prefix + "attn_norm"), eps)
        x = x + self.attention(layer, normed, span)
        return x + self.feed_forward(layer, rms_norm(x, self.tensor(prefix + "ffn_norm"), eps))

    @torch.no_grad()
    def hidden(
        self,
        ids: Sequence[int],
        cache: KVCache | None = None,
        start: int = 0,
        layers: int | None = None,
    ) -> Tensor:
        """Return the residual stream after the first `layers` layers (all by default).

        Parameters and errors are those of `forward`; the result is (tokens, hidden_size).
        """
        config = self.config
        layers = config.layers if layers is None else layers
        if not 0 <= layers <= config.layers:
            raise ValueError(f"layers must be in [0, {config.layers}], not {layers}")
        tokens = torch.as_tensor(ids, dtype=torch.int64)
        if tokens.ndim != 1 or not len(tokens):
            raise ValueError(f"ids must be a list of tokens, not of shape {list(tokens.shape)}")
        if tokens.min() < 0 or tokens.max() >= config.vocab_size:
            wrong = next(i for i in tokens.tolist() if not 0 <= i < config.vocab_size)
            raise ValueError(f"ids must be in [0, {config.vocab_size}), not {wrong}")
        limit = config.max_positions if cache is None else cache.positions
        if start < 0 or start + len(tokens) > limit:
            raise ValueError(
                f"positions must be in [0, {limit}), not [{start}, {start + len(tokens)})"
            )
        span = Span(start, *self.rotations(torch.arange(start, start + len(tokens))), cache)
        x = self.embed(tokens)
        for layer in range(layers):
            x = self.block(layer, x, span)
        return x

    @torch.no_grad()
    def head(self, x: Tensor) -> Tensor:
        """Return the logits, (tokens, vocab_size), of the residual stream after all layers."""
        return self.matrix("lm_head", rms_norm(x, self.tensor("final_norm"), self.config.norm_eps))

    def forward(self, ids: Sequence[int], cache: KVCache | None = None, start: int = 0) -> Tensor:
        """Return the logits of the token after each of `ids`.

        Parameters
        ----------
        ids : sequence of int
            Tokens at positions `start` and on.
        cache : KVCache, optional
            Holds the tokens before `start`, and takes these up. Without it these see only each
            other.
        start : int
            Position of the first.

        Returns
        -------
        Tensor
            (tokens, vocab_size), float32.

        Raises
        ------
        ValueError
            If there are no ids, one is not in the vocabulary, or there are too many.
        """
        return self.head(self.hidden(ids, cache, start))

    def stream(self, ids: Sequence[int], tokens: int, stop: Collection[int] = ()) -> Iterator[int]:
        """Yield at most `tokens` tokens that follow `ids`, the likeliest each time.

        The last one is the first that is in `stop`, if any is.
        """
        cache = self.cache(len(ids) + tokens)
        x, start = self.hidden(ids, cache), len(ids)
        for count in range(tokens):
            token = self.next_token(x)
            yield token
            if token in stop or count == tokens - 1:
                return
            x, start = self.hidden([token], cache, start), start + 1

    def generate(self, ids: Sequence[int], tokens: int, stop: Collection[int] = ()) -> list[int]:
        """Return the tokens of `stream` as a list, without `ids`."""
        return list(self.stream(ids, tokens, stop))
