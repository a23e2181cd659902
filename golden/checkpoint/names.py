"""Canonical names of a model's tensors, their shapes, and the sites where vectors are encoded."""

from golden.checkpoint.config import ModelConfig

__all__ = ["MATRICES", "bias_of", "matrices", "site_of", "tensor_shapes"]

# The matrices of a layer in the order they are applied, each with the site that feeds it.
MATRICES = {
    "q": "qkv",
    "k": "qkv",
    "v": "qkv",
    "o": "o",
    "gate": "gate_up",
    "up": "gate_up",
    "down": "down",
}


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that a model has; a matrix is (outputs, inputs).

    A tied output head is no tensor of its own, so it is not listed.
    """
    hidden, ffn = config.hidden_size, config.ffn_size
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm": (hidden,),
        "q": (queries, hidden),
        "k": (keys, hidden),
        "v": (keys, hidden),
        "o": (hidden, queries),
        "ffn_norm": (hidden,),
        "gate": (ffn, hidden),
        "up": (ffn, hidden),
        "down": (hidden, ffn),
    }
    if config.qkv_bias:
        layer |= {"q_bias": (queries,), "k_bias": (keys,), "v_bias": (keys,)}
    if config.qk_norm:
        layer |= {"q_norm": (config.head_dim,), "k_norm": (config.head_dim,)}
    shapes: dict[str, tuple[int, ...]] = {"embed": (config.vocab_size, hidden)}
    for i in range(config.layers):
        shapes |= {f"layers.{i}.{name}": shape for name, shape in layer.items()}
    shapes["final_norm"] = (hidden,)
    if not config.tied_head:
        shapes["lm_head"] = (config.vocab_size, hidden)
    return shapes


def matrices(config: ModelConfig) -> list[str]:
    """Return the names of all matrices a token passes, in order, the output head last."""
    layers = [f"layers.{i}.{name}" for i in range(config.layers) for name in MATRICES]
    return [*layers, "lm_head"]


def site_of(matrix: str) -> str:
    """Return the site whose vectors a matrix takes.

    `layers.{i}.qkv`, `layers.{i}.o`, `layers.{i}.gate_up`, `layers.{i}.down`, or `head`.
    """
    if matrix == "lm_head":
        return "head"
    layer, _, kind = matrix.rpartition(".")
    if kind not in MATRICES:
        raise ValueError(f"matrix must be lm_head or layers.N.(q|k|v|o|gate|up|down), not {matrix}")
    return f"{layer}.{MATRICES[kind]}"


def bias_of(matrix: str, config: ModelConfig) -> str | None:
    """Return the name of a matrix's bias, or None where it has none."""
    has_bias = config.qkv_bias and matrix.rpartition(".")[2] in ("q", "k", "v")
    return f"{matrix}_bias" if has_bias else None
