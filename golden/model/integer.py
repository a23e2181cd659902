"""The LLaMA family in integers alone: what a device computes, token by token (section 10)."""

from collections.abc import Callable

import torch
from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import site_of
from golden.checkpoint.rope import angles_table
from golden.model.attention import visible
from golden.model.kv_cache import IntegerCache
from golden.model.llama import Model, Span
from golden.model.prepare import grids
from golden.model.spiking import SpikingLinear
from golden.numerics import vector
from golden.numerics.fixed import to_fixed
from golden.numerics.kv import Rows, attend, encode_rows
from golden.numerics.neuron import Encoded
from golden.recipe.recipe import Recipe

__all__ = ["IntegerModel"]

_BLOCK_ELEMENTS = 1 << 19  # scores worked on at once: some 4 MB a temporary


class IntegerModel(Model):
    """A decoder whose every tensor is Q15.16, int32: hidden states, logits and all between.

    The methods are those of `golden.model.llama.Model`; its caches are `IntegerCache`s. Tensors
    are in
    the checkpoint's own order. A device turns pairs of neighbours, so where a checkpoint's pairs
    lie half a head apart, the channels of each head of q, k, q_norm, k_norm, q_rotated, k_rotated,
    query and key (and nothing else) stand there in the order of
    `golden.checkpoint.rope.pair_order`.

    Parameters
    ----------
    checkpoint : Checkpoint
        Configuration and weights; a weight is read and quantized when it is first needed.
    recipe : Recipe
        How its sites are made spike-driven.
    observe : callable, optional
        Called with the name of every tensor, below, and the tensor.
    observe_site : callable, optional
        Called with the name of every site, the `Encoded` batch, and which of its elements are
        there at all: a bool tensor of their shape, or None for all.

    Attributes
    ----------
    largest_residual : int
        Largest magnitude of the residual stream so far, in lsb.
    saturated : int
        Elements of the residual stream that saturated.

    Notes
    -----
    The names are `embed`, `final_norm`, `logits` and, after `layers.{i}.`: attn_norm, q, k, v,
    q_norm and k_norm (where the model has them), q_rotated, k_rotated (these eight
    (tokens, channels)), key and value (counts, (tokens, kv_heads, head_dim)), key_mantissa,
    key_exponent, value_mantissa, value_exponent ((tokens, kv_heads)), scores and w
    ((tokens, heads, positions); w is 0 where a position is not seen), attention, o, attn_residual,
    ffn_norm, gate, up, act, down, residual. For the sites qkv, query, probabilities, o, gate_up,
    down and head, `{site}.counts` (times the weights of their spikes) and
    `{site}.threshold`, of query and probabilities a row a head.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        recipe: Recipe,
        observe: Callable[[str, Tensor], None] | None = None,
        observe_site: Callable[[str, Encoded, Tensor | None], None] | None = None,
    ) -> None:
        super().__init__(checkpoint)
        self.recipe, self.observe, self.observe_site = recipe, observe, observe_site
        self.spiking = SpikingLinear(
            self.config, self.tensor, recipe, grid=grids(checkpoint, recipe)
        )
        self.largest_residual = self.saturated = 0
        self._epsilon = vector.norm_epsilon(self.config.norm_eps)
        self._gains: dict[str, Tensor] = {}
        self._latest: tuple[Tensor, Encoded] | None = None  # the vectors encoded last

    def cache(self, positions: int) -> IntegerCache:
        """Return an empty cache for so many tokens."""
        return IntegerCache(self.config, positions)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the rows of tokens in the embedding table, (tokens, hidden_size)."""
        return self._seen("embed", to_fixed(self.tensor("embed")[tokens]))

    def rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines of positions in Q15.16, both (tokens, head_dim / 2)."""
        config = self.config
        cos, sin = angles_table(positions, config.head_dim, config.rope_theta, config.rope_scaling)
        return to_fixed(cos), to_fixed(sin)

    def next_token(self, x: Tensor) -> int:
        """Return the likeliest token after the last one of the residual stream."""
        return int(vector.argmax(self.head(x[-1:])))

    def matrix(self, name: str, x: Tensor) -> Tensor:
        """Encode (tokens, inputs) once for the matrices of a site; returns (tokens, outputs)."""
        matrix = self.spiking.matrix(name)
        if self._latest is None or x is not self._latest[0]:
            self._latest = x, matrix.encode(x)
            self._report(site_of(name), self._latest[1])
        y = matrix.apply(self._latest[1])
        return self._seen("logits" if name == "lm_head" else name, y)

    def norm(self, name: str, x: Tensor) -> Tensor:
        """Return RMSNorm of the last dimension of `x` with the gains of that name."""
        if name not in self._gains:
            self._gains[name] = to_fixed(self.tensor(name))
        return self._seen(name, vector.rms_norm(x, self._gains[name], self._epsilon))

    def attention(self, layer: int, x: Tensor, span: Span) -> Tensor:
        """Return what attention adds to the residual stream, (tokens, hidden_size)."""
        config, prefix = self.config, f"layers.{layer}."
        q, k, v = (
            self.matrix(prefix + name, x).view(len(x), -1, config.head_dim) for name in "qkv"
        )
        if config.qk_norm:
            q, k = self.norm(prefix + "q_norm", q), self.norm(prefix + "k_norm", k)
        q = vector.rotate(q, span.cos, span.sin, config.rope_interleaved)
        k = vector.rotate(k, span.cos, span.sin, config.rope_interleaved)
        self._seen(prefix + "q_rotated", q)
        self._seen(prefix + "k_rotated", k)
        keys, values = encode_rows(k), encode_rows(v)
        for name, rows in (("key", keys), ("value", values)):
            self._seen(f"{prefix}{name}", rows.codes)
            self._seen(f"{prefix}{name}_mantissa", rows.mantissa)
            self._seen(f"{prefix}{name}_exponent", rows.exponent)
        if span.cache is not None:
            keys, values = span.cache.extend(layer, span.start, keys, values)
        return self.matrix(prefix + "o", self._attend(layer, q, keys, values))

    def _attend(self, layer: int, q: Tensor, keys: Rows, values: Rows) -> Tensor:
        """Attend a block of tokens at a time: (tokens, heads * head_dim)."""
        config, recipe, prefix = self.config, self.recipe, f"layers.{layer}."
        tokens, positions = len(q), len(keys.codes)
        seen = visible(tokens, positions, config.window(layer))
        step = max(1, _BLOCK_ELEMENTS // (config.heads * positions))
        if self.observe is not None:
            step = tokens  # so that each tensor is seen once, and whole
        parts = []
        for start in range(0, tokens, step):
            stop = min(start + step, tokens)
            end = positions - tokens + stop  # what is after the block's last token is not seen
            mask = seen[start:stop, :end]
            part = attend(
                q[start:stop],
                keys.first(end),
                values.first(end),
                mask,
                recipe.site(layer, "query", config.head_dim),
                recipe.site(layer, "probabilities", end),
                recipe.dead_quantile(layer, "query"),
            )
            self._report(prefix + "query", part.query)
            there = mask.repeat_interleave(config.heads, dim=0)
            self._report(prefix + "probabilities", part.probabilities, there)
            self._seen(prefix + "scores", part.scores)
            self._seen(prefix + "w", part.probabilities.x.view(part.scores.shape))
            parts.append(part.y)
        return self._seen(prefix + "attention", torch.cat(parts))

    def feed_forward(self, layer: int, x: Tensor) -> Tensor:
        """Return what SwiGLU adds to the residual stream, (tokens, hidden_size)."""
        prefix = f"layers.{layer}."
        gate, up = self.matrix(prefix + "gate", x), self.matrix(prefix + "up", x)
        return self.matrix(prefix + "down", self._seen(prefix + "act", vector.swiglu(gate, up)))

    def block(self, layer: int, x: Tensor, span: Span) -> Tensor:
        """Pass the residual stream, (tokens, hidden_size), through one layer."""
        prefix = f"layers.{layer}."
        y = self.attention(layer, self.norm(prefix + "attn_norm", x), span)
        x = self._add(prefix + "attn_residual", x, y)
        y = self.feed_forward(layer, self.norm(prefix + "ffn_norm", x))
        return self._add(prefix + "residual", x, y)

    @torch.no_grad()
    def head(self, x: Tensor) -> Tensor:
        """Return the logits, (tokens, vocab_size), of the residual stream after all layers."""
        return self.matrix("lm_head", self.norm("final_norm", x))

    def _add(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        exact = x.long() + y
        total = vector.add(x, y)
        self.saturated += int((exact != total).sum())
        self.largest_residual = max(self.largest_residual, int(total.long().abs().max()))
        return self._seen(name, total)

    def _report(self, site: str, encoded: Encoded, there: Tensor | None = None) -> None:
        if self.observe_site is not None:
            self.observe_site(site, encoded, there)
        self._seen(f"{site}.counts", encoded.spikes)
        self._seen(f"{site}.threshold", encoded.v)

    def _seen(self, name: str, x: Tensor) -> Tensor:
        if self.observe is not None:
            self.observe(name, x)
        return x
