"""Hugging Face directories: `config.json` and safetensors, in one file or in shards."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from golden.config import ModelConfig
from golden.errors import CheckpointError, CheckpointNotFoundError
from golden.readers import Contents, StoredTensor
from golden.rope import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling
from golden.tokenizer import from_hf

__all__ = ["read"]

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TENSORS = {
    "model.embed_tokens.weight": "embed",
    "model.norm.weight": "final_norm",
    "lm_head.weight": "lm_head",
}
LAYER_TENSORS = {
    "input_layernorm.weight": "attn_norm",
    "self_attn.q_proj.weight": "q",
    "self_attn.k_proj.weight": "k",
    "self_attn.v_proj.weight": "v",
    "self_attn.o_proj.weight": "o",
    "self_attn.q_proj.bias": "q_bias",
    "self_attn.k_proj.bias": "k_bias",
    "self_attn.v_proj.bias": "v_bias",
    "self_attn.q_norm.weight": "q_norm",
    "self_attn.k_norm.weight": "k_norm",
    "post_attention_layernorm.weight": "ffn_norm",
    "mlp.gate_proj.weight": "gate",
    "mlp.up_proj.weight": "up",
    "mlp.down_proj.weight": "down",
}
# Frequencies that old conversions stored; they follow from the configuration.
DERIVED = "rotary_emb.inv_freq"
DTYPES = ("F64", "F32", "F16", "BF16")


def read(directory: Path, name: str | None = None) -> Contents:
    """Read a directory as `save_pretrained` writes it; `name` stands for the directory's.

    Raises `CheckpointError` where it is incomplete, damaged, or its model is not of the family.
    """
    fields = _json(directory / "config.json")
    if fields.get("model_type") not in FAMILIES:
        raise CheckpointError(
            f"{directory} holds a model of the type {fields.get('model_type')}: use one of the "
            "LLaMA, Mistral, Qwen2 or Qwen3 family"
        )
    if fields.get("quantization_config"):
        raise CheckpointError(
            f"{directory} is quantized ({fields['quantization_config'].get('quant_method')}): "
            "use the checkpoint in F32, F16 or BF16, or a GGUF file"
        )
    tensors: dict[str, StoredTensor] = {}
    for shard in _shards(directory):
        tensors |= _tensors(shard)
    config = _config(directory, fields, tensors, name)
    eos_ids = fields.get("eos_token_id")
    eos_ids = eos_ids if isinstance(eos_ids, list) else [] if eos_ids is None else [eos_ids]
    return Contents(
        config, tensors, lambda: from_hf(directory, fields.get("bos_token_id"), tuple(eos_ids))
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{path.parent} has no {path.name}: name a directory that save_pretrained wrote"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}): get it again") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{path} is damaged (it holds no object): get it again")
    return fields


def _shards(directory: Path) -> list[Path]:
    if (directory / SINGLE).exists():
        return [directory / SINGLE]
    if not (directory / INDEX).exists():
        raise CheckpointNotFoundError(
            f"{directory} has neither {SINGLE} nor {INDEX}: get or convert its weights in "
            "safetensors"
        )
    files = sorted(set(_json(directory / INDEX).get("weight_map", {}).values()))
    for file in files:
        if not (directory / file).exists():
            raise CheckpointNotFoundError(
                f"{directory / file} is not there, though {INDEX} lists it: get it too"
            )
    return [directory / file for file in files]


def _tensors(shard: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file, which stays mapped; nothing but its header is read."""
    try:
        file = safe_open(shard, framework="pt")
    except SafetensorError as error:
        raise CheckpointError(f"{shard} is truncated or damaged ({error}): get it again") from error
    tensors = {}
    for key in file.keys():
        canonical = _canonical(key)
        if canonical is None:
            raise CheckpointError(
                f"{shard} holds the tensor {key}, which has no place here: use a LLaMA, Mistral, "
                "Qwen2 or Qwen3 model without it"
            )
        piece = file.get_slice(key)
        if piece.get_dtype() not in DTYPES:
            raise CheckpointError(
                f"{shard}: {key} must be one of {', '.join(DTYPES)}, not {piece.get_dtype()}"
            )
        if canonical:
            tensors[canonical] = StoredTensor(key, tuple(piece.get_shape()), _reading(file, key))
    return tensors


def _reading(file: Any, key: str) -> Callable[[], torch.Tensor]:
    return lambda: file.get_tensor(key).to(torch.float32)


def _canonical(key: str) -> str | None:
    """Return the canonical name, empty for what is derived, None for what the family lacks."""
    if key.endswith(DERIVED):
        return ""
    if key.startswith("model.layers."):
        _, _, layer, kind = key.split(".", 3)
        return f"layers.{layer}.{LAYER_TENSORS[kind]}" if kind in LAYER_TENSORS else None
    return TENSORS.get(key)


def _config(
    directory: Path, fields: dict[str, Any], tensors: dict[str, StoredTensor], name: str | None
) -> ModelConfig:
    def field(key: str) -> Any:
        if fields.get(key) is None:
            raise CheckpointError(f"{directory / 'config.json'} lacks {key}: get it again")
        return fields[key]

    if fields.get("hidden_act", "silu") != "silu":
        raise CheckpointError(
            f"{directory}: hidden_act must be silu, not {fields['hidden_act']}: use a model of the "
            "LLaMA, Mistral, Qwen2 or Qwen3 family"
        )
    # Since version 5, transformers keeps theta and scaling together; before, they lay apart.
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    heads = field("num_attention_heads")
    try:
        return ModelConfig(
            name=name or directory.resolve().name,
            vocab_size=field("vocab_size"),
            hidden_size=field("hidden_size"),
            ffn_size=field("intermediate_size"),
            layers=field("num_hidden_layers"),
            heads=heads,
            kv_heads=fields.get("num_key_value_heads") or heads,
            head_dim=fields.get("head_dim") or field("hidden_size") // heads,
            max_positions=field("max_position_embeddings"),
            norm_eps=field("rms_norm_eps"),
            rope_theta=rope.get("rope_theta") or fields.get("rope_theta") or 10000.0,
            rope_interleaved=False,
            rope_scaling=_rope_scaling(directory, rope, fields["max_position_embeddings"]),
            tied_head=bool(fields.get("tie_word_embeddings", False)),
            qkv_bias="layers.0.q_bias" in tensors,
            qk_norm="layers.0.q_norm" in tensors,
            **_windows(fields),
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{directory / 'config.json'} describes no possible model: {error}"
        ) from error


def _windows(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the sliding window and the layers that ignore it.

    Mistral's has no switch; Qwen's has one, off by default, and spares the first layers.
    """
    kind, window = fields["model_type"], fields.get("sliding_window")
    if kind == "llama" or (kind != "mistral" and not fields.get("use_sliding_window", False)):
        window = None
    if window is None:
        return {}
    types = fields.get("layer_types")
    if types is not None:
        full = tuple(i for i, layer in enumerate(types) if layer == "full_attention")
    else:
        spared = 0 if kind == "mistral" else fields.get("max_window_layers", 0)
        full = tuple(range(min(spared, fields["num_hidden_layers"])))
    return {"sliding_window": window, "full_layers": full}


def _rope_scaling(directory: Path, rope: dict[str, Any], positions: int) -> RopeScaling | None:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise CheckpointError(f"{directory}: use a model that rotates whole heads")
    if kind == "default":
        return None
    original = rope.get("original_max_position_embeddings") or positions
    try:
        if kind == "linear":
            return LinearScaling(factor=rope["factor"])
        if kind == "llama3":
            return Llama3Scaling(
                factor=rope["factor"],
                low_freq_factor=rope["low_freq_factor"],
                high_freq_factor=rope["high_freq_factor"],
                original_positions=original,
            )
        if kind == "yarn":
            factor = rope.get("factor") or positions / original
            return YarnScaling(
                factor=factor,
                original_positions=original,
                attention_factor=rope.get("attention_factor") or _yarn_attention(factor, rope),
                beta_fast=rope.get("beta_fast") or 32.0,
                beta_slow=rope.get("beta_slow") or 1.0,
                whole_pairs=rope.get("truncate", True),
            )
    except KeyError as error:
        raise CheckpointError(
            f"{directory / 'config.json'}: the RoPE scaling {kind} lacks {error.args[0]}: "
            "get it again"
        ) from error
    raise CheckpointError(
        f"{directory}: the RoPE scaling must be linear, llama3 or yarn, not {kind}"
    )


def _yarn_attention(factor: float, rope: dict[str, Any]) -> float:
    """Return what YaRN multiplies cos and sin by where the configuration does not say."""

    def magnitude(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0

    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return magnitude(rope["mscale"]) / magnitude(rope["mscale_all_dim"])
    return magnitude(1.0)
