"""What a checkpoint says about its model, whichever format it came in."""

from dataclasses import dataclass

from golden.checkpoint.rope_scaling import FactorScaling, RopeScaling

__all__ = ["ModelConfig"]

# Far beyond any model; a damaged header must not make a reader list tensors without end.
MAX_LAYERS = 4096


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A decoder of the LLaMA family (LLaMA, Mistral, Qwen2, Qwen3).

    Parameters
    ----------
    name : str
        What people call the checkpoint.
    vocab_size, hidden_size, ffn_size, layers : int
        Tokens, channels of the residual stream, channels between gate/up and down, blocks.
    heads, kv_heads, head_dim : int
        Query heads, the key/value heads they share in groups, and the channels of each.
    max_positions : int
        Longest context in tokens.
    norm_eps : float
        What RMSNorm adds to the mean square.
    rope_theta : float
        Base of the rotary frequencies.
    rope_interleaved : bool
        Whether the pairs that rotate are neighbours (see `golden.checkpoint.rope.rotate`).
    rope_scaling : RopeScaling or None
        How the rotary frequencies are stretched for long contexts.
    tied_head : bool
        Whether the output head is the embedding.
    qkv_bias : bool
        Whether q, k and v have a bias (Qwen2).
    qk_norm : bool
        Whether queries and keys are normalized head by head before the rotation (Qwen3).
    sliding_window : int or None
        Tokens that a query sees, itself included; None: all before it.
    full_layers : tuple of int
        Layers that ignore the sliding window.

    Raises
    ------
    ValueError
        If the figures do not make a model.
    """

    name: str
    vocab_size: int
    hidden_size: int
    ffn_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    max_positions: int
    norm_eps: float
    rope_theta: float
    rope_interleaved: bool
    rope_scaling: RopeScaling | None = None
    tied_head: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None
    full_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        counts = "vocab_size hidden_size ffn_size layers heads kv_heads head_dim max_positions"
        for field in counts.split():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field} must be a positive integer, not {value!r}")
        if self.layers > MAX_LAYERS:
            raise ValueError(f"layers must be at most {MAX_LAYERS}, not {self.layers}")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads ({self.kv_heads}), not {self.heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim must be even, not {self.head_dim}")
        for field in ("norm_eps", "rope_theta"):
            value = getattr(self, field)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(f"{field} must be a number, not {value!r}")
        if not 0 <= self.norm_eps < 1:
            raise ValueError(f"norm_eps must be in [0, 1), not {self.norm_eps}")
        if not self.rope_theta > 1:
            raise ValueError(f"rope_theta must be above 1, not {self.rope_theta}")
        window = self.sliding_window
        if window is not None and (not isinstance(window, int) or window < 1):
            raise ValueError(f"sliding_window must be positive, not {window!r}")
        scaling = self.rope_scaling
        if isinstance(scaling, FactorScaling) and 2 * len(scaling.factors) != self.head_dim:
            raise ValueError(
                f"rope_scaling must have {self.head_dim // 2} factors, not {len(scaling.factors)}"
            )

    def window(self, layer: int) -> int | None:
        """Return how many tokens a query of `layer` sees, itself included; None: no limit."""
        return None if layer in self.full_layers else self.sliding_window
