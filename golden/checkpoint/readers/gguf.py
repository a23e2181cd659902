"""GGUF checkpoints: from llama.cpp's names and metadata to the canonical ones."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.readers import Contents, StoredGrid, StoredTensor
from golden.checkpoint.readers.gguf_file import MAGIC, GgufFile, GgufTensor
from golden.checkpoint.readers.gguf_grid import GRIDS
from golden.checkpoint.rope import FactorScaling, LinearScaling, RopeScaling, YarnScaling
from golden.checkpoint.tokenizer import from_gguf
from golden.console.errors import CheckpointError

__all__ = ["MAGIC", "read"]

# Converters permute the rows of q and k for interleaved pairs in files of this architecture
# (LLaMA and Mistral), and leave them alone in Qwen's. They stay as they lie in the file.
INTERLEAVED = {"llama": True, "qwen2": False, "qwen3": False}
TENSORS = {"token_embd.weight": "embed", "output_norm.weight": "final_norm"}
LAYER_TENSORS = {
    "attn_norm.weight": "attn_norm",
    "attn_q.weight": "q",
    "attn_k.weight": "k",
    "attn_v.weight": "v",
    "attn_output.weight": "o",
    "attn_q.bias": "q_bias",
    "attn_k.bias": "k_bias",
    "attn_v.bias": "v_bias",
    "attn_q_norm.weight": "q_norm",
    "attn_k_norm.weight": "k_norm",
    "ffn_norm.weight": "ffn_norm",
    "ffn_gate.weight": "gate",
    "ffn_up.weight": "up",
    "ffn_down.weight": "down",
}
OWN_HEAD = "output.weight"
ROPE_FACTORS = "rope_freqs.weight"


def read(path: Path, name: str | None = None) -> Contents:
    """Read a GGUF file; `name` stands for what the file calls itself.

    Raises `CheckpointError` where the file is damaged or its model is not of the family.
    """
    file = GgufFile(path)
    config = _config(file, name)
    tensors = {}
    for tensor in file.tensors.values():
        canonical = _canonical(tensor.name)
        if canonical is not None:
            tensors[canonical] = StoredTensor(
                tensor.name, tensor.shape, _reading(tensor), _grid(tensor), tensor.kind.name
            )
        elif tensor.name != ROPE_FACTORS:
            raise CheckpointError(
                f"{path} holds the tensor {tensor.name}, which has no place here: use a LLaMA, "
                "Mistral, Qwen2 or Qwen3 model without it"
            )
    return Contents(config, tensors, lambda: from_gguf(path, file.metadata), (path,))


def _reading(tensor: GgufTensor) -> Callable[[int, int], torch.Tensor]:
    return lambda first, end: torch.from_numpy(tensor.read(first, end))


def _grid(tensor: GgufTensor) -> StoredGrid | None:
    if tensor.kind not in GRIDS or len(tensor.shape) != 2:
        return None
    grid = GRIDS[tensor.kind]
    return StoredGrid(
        format=tensor.kind.name,
        group=grid.group,
        bits=grid.bits,
        offsets="m" if grid.offset_shift else "none",
        offset_shift=grid.offset_shift,
        read=tensor.grid,
    )


def _canonical(name: str) -> str | None:
    if name.startswith("blk."):
        _, layer, kind = name.split(".", 2)
        return f"layers.{layer}.{LAYER_TENSORS[kind]}" if kind in LAYER_TENSORS else None
    return "lm_head" if name == OWN_HEAD else TENSORS.get(name)


def _config(file: GgufFile, name: str | None) -> ModelConfig:
    metadata, path = file.metadata, file.path
    family = metadata.get("general.architecture")
    if family not in INTERLEAVED:
        raise CheckpointError(
            f"{path} holds a model of the architecture {family}: use one of the LLaMA, Mistral, "
            "Qwen2 or Qwen3 family"
        )

    def field(key: str, default: Any = None) -> Any:
        value = metadata.get(f"{family}.{key}", default)
        if value is None:
            raise CheckpointError(f"{path} lacks the metadata {family}.{key}: get another file")
        return value

    if field("expert_count", 0):
        raise CheckpointError(f"{path} is a mixture of experts: use a dense model")
    embedding = file.tensors.get("token_embd.weight")
    try:
        heads, hidden = field("attention.head_count"), field("embedding_length")
        for key, value in (("head_count", heads), ("embedding_length", hidden)):
            if not isinstance(value, int):
                raise ValueError(f"{key} must be a positive integer, not {value!r}")
        head_dim = field("attention.key_length", heads and hidden // heads)
        for key in ("attention.value_length", "rope.dimension_count"):
            if field(key, head_dim) != head_dim:
                raise ValueError(f"{key} must be the head dimension {head_dim}, not {field(key)}")
        return ModelConfig(
            name=name or str(metadata.get("general.name") or path.stem),
            vocab_size=embedding.shape[0] if embedding else field("vocab_size"),
            hidden_size=hidden,
            ffn_size=field("feed_forward_length"),
            layers=field("block_count"),
            heads=heads,
            kv_heads=field("attention.head_count_kv", heads),
            head_dim=head_dim,
            max_positions=field("context_length"),
            norm_eps=field("attention.layer_norm_rms_epsilon"),
            rope_theta=field("rope.freq_base", 10000.0),
            rope_interleaved=INTERLEAVED[family],
            rope_scaling=_rope_scaling(file, family),
            tied_head=OWN_HEAD not in file.tensors,
            qkv_bias="blk.0.attn_q.bias" in file.tensors,
            qk_norm="blk.0.attn_q_norm.weight" in file.tensors,
            sliding_window=metadata.get(f"{family}.attention.sliding_window") or None,
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} describes no possible model: {error}") from error


def _rope_scaling(file: GgufFile, family: str) -> RopeScaling | None:
    """Return the scaling; a file holds LLaMA 3.1's as a tensor of divisors, others by name."""
    if ROPE_FACTORS in file.tensors:
        tensor = file.tensors[ROPE_FACTORS]
        return FactorScaling(factors=tuple(tensor.read(0, tensor.shape[0]).ravel().tolist()))
    prefix = f"{family}.rope.scaling."
    fields = {
        key.removeprefix(prefix): value
        for key, value in file.metadata.items()
        if key.startswith(prefix)
    }
    kind = fields.get("type", "none")
    if kind == "none":
        return None
    factor = fields.get("factor")
    if not isinstance(factor, float) or not factor > 0:
        raise CheckpointError(
            f"{file.path}: {prefix}factor must be positive, not {factor}: get another file"
        )
    if kind == "linear":
        return LinearScaling(factor=factor)
    if kind == "yarn":
        if "original_context_length" not in fields:
            raise CheckpointError(
                f"{file.path} lacks the metadata {prefix}original_context_length: get another file"
            )
        return YarnScaling(
            factor=factor,
            original_positions=fields["original_context_length"],
            attention_factor=fields.get("attn_factor", 1.0) * (1 + 0.1 * math.log(factor)),
            beta_fast=fields.get("yarn_beta_fast", 32.0),
            beta_slow=fields.get("yarn_beta_slow", 1.0),
        )
    raise CheckpointError(
        f"{file.path}: the RoPE scaling must be linear, yarn or by {ROPE_FACTORS}, not {kind}: "
        "use another model"
    )
