"""Checkpoints of random weights, as Hugging Face directories in shards: for their size only."""

import json
from pathlib import Path

import torch

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import tensor_shapes
from golden.checkpoint.readers.hf import LAYER_TENSORS, TENSORS

__all__ = ["SHAPES", "write_checkpoint"]

SHAPES = {
    # LLaMA-2 7B (arXiv 2307.09288)
    "7b": dict(hidden_size=4096, ffn_size=11008, layers=32, heads=32, kv_heads=32),
    # TinyLlama 1.1B (arXiv 2401.02385)
    "1b": dict(hidden_size=2048, ffn_size=5632, layers=22, heads=32, kv_heads=4),
}
_BLOCK = 1 << 20


def config_of(shape: str) -> ModelConfig:
    """Return the configuration of a model of random weights of this shape."""
    figures = SHAPES[shape]
    return ModelConfig(
        name=f"synthetic-{shape}",
        vocab_size=32000,
        **figures,
        head_dim=figures["hidden_size"] // figures["heads"],
        max_positions=4096,
        norm_eps=1e-5,
        rope_theta=1e4,
        rope_interleaved=False,
    )


def write_checkpoint(directory: Path, config: ModelConfig, *, seed: int, shard_bytes: int) -> int:
    """Write random weights in bfloat16, in shards of at most so many bytes; returns all bytes.

    A tensor's weights are normal with the deviation 1 / sqrt(K).
    """
    directory.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    names = {canonical: key for key, canonical in TENSORS.items()}
    of_layers = {canonical: key for key, canonical in LAYER_TENSORS.items()}

    def key_of(name: str) -> str:
        if name in names:
            return names[name]
        _, layer, kind = name.split(".")
        return f"model.layers.{layer}.{of_layers[kind]}"

    shards: list[dict[str, tuple[int, ...]]] = [{}]
    held = 0
    for name, shape in tensor_shapes(config).items():
        length = 2 * torch.Size(shape).numel()
        if held and held + length > shard_bytes:
            shards.append({})
            held = 0
        shards[-1][key_of(name)] = shape
        held += length
    weight_map, total = {}, 0
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        weight_map |= dict.fromkeys(tensors, file)
        total += _write_shard(directory / file, tensors, generator)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text(json.dumps(_fields(config)))
    return total


def _write_shard(path: Path, tensors: dict[str, tuple[int, ...]], generator) -> int:
    header, end = {}, 0
    for key, shape in tensors.items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in tensors.values():
            left = torch.Size(shape).numel()
            while left:
                count = min(left, _BLOCK)
                values = torch.randn(count, generator=generator) / shape[-1] ** 0.5
                file.write(values.bfloat16().view(torch.uint8).numpy().data)
                left -= count
    return end


def _fields(config: ModelConfig) -> dict[str, object]:
    return {
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": False,
    }
