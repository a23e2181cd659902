"""The `config.json` of a Hugging Face directory, in the words of any version that wrote it."""

import json
import math
from collections.abc import Container
from pathlib import Path
from typing import Any

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.readers.file_bytes import require_file
from golden.checkpoint.rope import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["model_config", "object_in", "read_json"]

_COUNTS = (
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads "
    "num_key_value_heads head_dim max_position_embeddings max_window_layers"
).split()


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; `CheckpointError` where it is missing or damaged."""
    require_file(path)
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


def object_in(path: Path, fields: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a field that is an object, empty where it is missing or null."""
    value = fields.get(key) or {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is damaged ({key} is no object): get it again")
    return value


def model_config(
    directory: Path, fields: dict[str, Any], tensors: Container[str], name: str | None
) -> ModelConfig:
    """Return the configuration that `config.json` describes.

    Parameters
    ----------
    directory : Path
        For messages, and for the name unless `name` is given.
    fields : dict
        The contents of `config.json`.
    tensors : container of str
        Canonical names of the tensors there are: the file does not say whether there are biases.
    name : str or None
        What the model is called.

    Raises
    ------
    CheckpointError
        If a field is missing, or the model is not of the family.
    """
    path = directory / "config.json"

    def field(key: str) -> Any:
        if fields.get(key) is None:
            raise CheckpointError(f"{path} lacks {key}: get it again")
        return fields[key]

    if fields.get("hidden_act", "silu") != "silu":
        raise CheckpointError(
            f"{directory}: hidden_act must be silu, not {fields['hidden_act']}: use a model of the "
            "LLaMA, Mistral, Qwen2 or Qwen3 family"
        )
    # Since version 5, transformers keeps theta and scaling together; before, they lay apart.
    rope = object_in(path, fields, "rope_parameters") or object_in(path, fields, "rope_scaling")
    for key in _COUNTS:
        value = fields.get(key)
        if value is not None and not isinstance(value, int):
            raise CheckpointError(
                f"{path} describes no possible model: {key} must be a positive integer, not "
                f"{value!r}"
            )
    heads, hidden = field("num_attention_heads"), field("hidden_size")
    try:
        return ModelConfig(
            name=name or directory.resolve().name,
            vocab_size=field("vocab_size"),
            hidden_size=hidden,
            ffn_size=field("intermediate_size"),
            layers=field("num_hidden_layers"),
            heads=heads,
            kv_heads=fields.get("num_key_value_heads") or heads,
            head_dim=fields.get("head_dim") or (heads and hidden // heads),
            max_positions=field("max_position_embeddings"),
            norm_eps=field("rms_norm_eps"),
            rope_theta=rope.get("rope_theta") or fields.get("rope_theta") or 10000.0,
            rope_interleaved=False,
            rope_scaling=_rope_scaling(directory, rope, field("max_position_embeddings")),
            tied_head=bool(fields.get("tie_word_embeddings", False)),
            qkv_bias=fields.get("model_type") == "qwen2" or "layers.0.q_bias" in tensors,
            qk_norm="layers.0.q_norm" in tensors,
            **_windows(fields),
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} describes no possible model: {error}") from error


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
        raise CheckpointError(
            f"{directory}: partial_rotary_factor must be 1, not {rope['partial_rotary_factor']}: "
            "use a model that rotates whole heads"
        )
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
        f"{directory}: the RoPE scaling must be linear, llama3 or yarn, not {kind}: use another "
        "model"
    )


def _yarn_attention(factor: float, rope: dict[str, Any]) -> float:
    """Return what YaRN multiplies cos and sin by where the configuration does not say."""

    def magnitude(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0

    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return magnitude(rope["mscale"]) / magnitude(rope["mscale_all_dim"])
    return magnitude(1.0)
