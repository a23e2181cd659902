"""Hugging Face directories: `config.json` and safetensors, in one file or in shards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from golden.checkpoint.readers import Contents, StoredTensor
from golden.checkpoint.readers.hf_config import model_config, object_in, read_json
from golden.checkpoint.readers.packed_layers import take_layers
from golden.checkpoint.readers.quantization import packings
from golden.checkpoint.readers.safetensors_file import FileTensor, tensors_of
from golden.checkpoint.tokenizer import from_hf
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["canonical_name", "ends", "read", "require_family"]

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
    fields = read_json(directory / "config.json")
    require_family(directory, fields)
    packing_of = packings(directory, fields)
    shards = _shards(directory)
    found: dict[str, FileTensor] = {}
    for shard in shards:
        of_shard = tensors_of(shard)
        if twice := found.keys() & of_shard.keys():
            raise CheckpointError(
                f"{shard} holds the tensor {min(twice)}, which another shard holds too: get them "
                "all again"
            )
        found |= of_shard
    tensors: dict[str, StoredTensor] = {}
    if packing_of is not None:
        for layer, packed in take_layers(
            directory, found, packing_of, lambda layer: _needs_bias(fields, layer)
        ).items():
            tensors[canonical_name(directory, f"{layer}.weight")] = packed
    for tensor in found.values():
        if (canonical := canonical_name(tensor.path, tensor.name)) in tensors:
            raise CheckpointError(
                f"{tensor.path} holds the tensor {tensor.name}, which is packed too: get them all "
                "again"
            )
        if tensor.dtype not in DTYPES:
            raise CheckpointError(
                f"{tensor.path}: {tensor.name} must be one of {', '.join(DTYPES)}, not "
                f"{tensor.dtype}: convert it"
            )
        if canonical:
            tensors[canonical] = StoredTensor(tensor.name, tensor.shape, _reading(tensor))
    config = model_config(directory, fields, tensors, name)
    return Contents(config, tensors, lambda: from_hf(directory, *ends(fields)), tuple(shards))


def require_family(directory: Path, fields: dict[str, Any]) -> None:
    """Refuse, with a CheckpointError, a `config.json` of another family."""
    if fields.get("model_type") not in FAMILIES:
        raise CheckpointError(
            f"{directory} holds a model of the type {fields.get('model_type')}: use one of the "
            "LLaMA, Mistral, Qwen2 or Qwen3 family"
        )


def ends(fields: dict[str, Any]) -> tuple[int | None, tuple[int, ...]]:
    """Return the ids of beginning and end that a `config.json` names."""
    eos_ids = fields.get("eos_token_id")
    eos_ids = eos_ids if isinstance(eos_ids, list) else [] if eos_ids is None else [eos_ids]
    return fields.get("bos_token_id"), tuple(eos_ids)


def _shards(directory: Path) -> list[Path]:
    if (directory / SINGLE).exists():
        return [directory / SINGLE]
    if not (directory / INDEX).exists():
        raise CheckpointNotFoundError(
            f"{directory} has neither {SINGLE} nor {INDEX}: get or convert its weights in "
            "safetensors"
        )
    index = read_json(directory / INDEX)
    files = sorted(set(map(str, object_in(directory / INDEX, index, "weight_map").values())))
    if not files:
        raise CheckpointError(f"{directory / INDEX} is damaged (it lists no files): get it again")
    for file in files:
        if not (directory / file).exists():
            raise CheckpointNotFoundError(
                f"{directory / file} is not there, though {INDEX} lists it: get it too"
            )
    return [directory / file for file in files]


def _reading(tensor: FileTensor) -> Callable[[int, int], torch.Tensor]:
    return lambda first, end: tensor.read(first, end).to(torch.float32)


def _needs_bias(fields: dict[str, Any], layer: str) -> bool:
    """Return whether a layer of the model has a bias, be it of zeros."""
    has_biases = fields["model_type"] == "qwen2" or bool(fields.get("attention_bias"))
    return has_biases and layer.endswith(("q_proj", "k_proj", "v_proj"))


def canonical_name(place: Path, key: str) -> str:
    """Return a tensor's canonical name, empty for what is derived.

    Raises `CheckpointError`, saying that `place` holds it, for a tensor that the family lacks.
    """
    if key.endswith(DERIVED):
        return ""
    name = TENSORS.get(key)
    if key.startswith("model.layers."):
        _, _, layer, kind = key.split(".", 3)
        name = f"layers.{layer}.{LAYER_TENSORS[kind]}" if kind in LAYER_TENSORS else None
    if name is None:
        raise CheckpointError(
            f"{place} holds the tensor {key}, which has no place here: use a LLaMA, Mistral, "
            "Qwen2 or Qwen3 model without it"
        )
    return name
