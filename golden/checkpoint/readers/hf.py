"""Hugging Face directories: `config.json` and safetensors, in one file or in shards."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from golden.checkpoint.readers import Contents, StoredTensor
from golden.checkpoint.readers.file_bytes import FileBytes, require_file
from golden.checkpoint.readers.hf_config import model_config, object_in, read_json
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
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def read(directory: Path, name: str | None = None) -> Contents:
    """Read a directory as `save_pretrained` writes it; `name` stands for the directory's.

    Raises `CheckpointError` where it is incomplete, damaged, or its model is not of the family.
    """
    fields = read_json(directory / "config.json")
    require_family(directory, fields)
    tensors: dict[str, StoredTensor] = {}
    shards = _shards(directory)
    for shard in shards:
        of_shard = _tensors(shard)
        if twice := tensors.keys() & of_shard.keys():
            raise CheckpointError(
                f"{shard} holds the tensor {of_shard[min(twice)].name}, which another shard holds "
                "too: get them all again"
            )
        tensors |= of_shard
    config = model_config(directory, fields, tensors, name)
    return Contents(config, tensors, lambda: from_hf(directory, *ends(fields)), tuple(shards))


def require_family(directory: Path, fields: dict[str, Any]) -> None:
    """Refuse, with a CheckpointError, a `config.json` of another family or of packed weights."""
    if fields.get("model_type") not in FAMILIES:
        raise CheckpointError(
            f"{directory} holds a model of the type {fields.get('model_type')}: use one of the "
            "LLaMA, Mistral, Qwen2 or Qwen3 family"
        )
    if quantization := object_in(directory / "config.json", fields, "quantization_config"):
        raise CheckpointError(
            f"{directory} is quantized ({quantization.get('quant_method')}): "
            "use the checkpoint in F32, F16 or BF16, or a GGUF file"
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


def _tensors(shard: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file; nothing but its header is read."""
    require_file(shard)
    try:
        safe_open(shard, framework="pt")  # holds the header against the file
        places, base = _header(shard)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{shard} is truncated or damaged ({error}): get it again") from error
    tensors, file = {}, FileBytes(shard)
    for key, place in places.items():
        canonical = canonical_name(shard, key)
        if place["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{shard}: {key} must be one of {', '.join(DTYPES)}, not {place['dtype']}: "
                "convert it"
            )
        if canonical:
            shape, dtype = tuple(place["shape"]), DTYPES[place["dtype"]]
            start = base + place["data_offsets"][0]
            tensors[canonical] = StoredTensor(key, shape, _reading(file, start, shape, dtype))
    return tensors


def _header(shard: Path) -> tuple[dict[str, dict], int]:
    """Return what a file says of its tensors, and where the first byte of them lies."""
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length), object_pairs_hook=_each_once)
    header.pop("__metadata__", None)
    return header, 8 + length


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"its header lists {twice} twice")
    return dict(pairs)


def _reading(
    file: FileBytes, start: int, shape: tuple[int, ...], dtype: torch.dtype
) -> Callable[[int, int], torch.Tensor]:
    row_bytes = math.prod(shape[1:]) * dtype.itemsize

    def read(first: int, end: int) -> torch.Tensor:
        data = file.read(start + first * row_bytes, (end - first) * row_bytes)
        return torch.from_numpy(data).view(dtype).reshape(-1, *shape[1:]).to(torch.float32)

    return read


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
