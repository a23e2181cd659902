"""Small random checkpoints of the family in the formats that are read, made with `transformers`."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

from golden.checkpoint.checkpoint import CheckpointError, load

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 40,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.25,  # far from zero, so that a wrong model is wrong by a lot
    "attn_implementation": "eager",
}
ROPES = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn-full": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "beta_fast": 4.0,
        "beta_slow": 0.2,
        "mscale": 1.5,
        "mscale_all_dim": 0.8,
        "truncate": False,
    },
}
SCALES_AT = {  # where a block's fp16 lie, and how large they are for weights of variance 1
    "Q4_0": {0: 0.3},
    "Q4_1": {0: 0.3, 2: -2.2},
    "Q5_0": {0: 0.15},
    "Q5_1": {0: 0.15, 2: -2.2},
    "Q8_0": {0: 0.02},
    "Q4_K": {0: 0.01, 2: 0.07},
    "Q5_K": {0: 0.005, 2: 0.07},
    "Q6_K": {208: 0.001},
    "MXFP4": {},
}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def random_model(kind: str, seed: int, **changes):
    """Return a model of `transformers` in which nothing is left at a value that hides mistakes."""
    configuration, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    }[kind]
    torch.manual_seed(seed)
    made = model(configuration(**(SHAPE | changes))).eval()
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if "norm" in name:
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                tensor.uniform_(-1, 1)
    return made


def rope(kind: str, theta: float = 10000.0) -> dict:
    """Return the `rope_parameters` of one of `ROPES`."""
    return {"rope_parameters": ROPES[kind] | {"rope_theta": theta}}


def interleaved(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder a projection's rows, head by head, from the two-halves to the neighbours layout."""
    return rows.view(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def halves(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo `interleaved`."""
    return rows.view(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def write_gguf(
    path: Path,
    family: str,
    fields: dict,
    tensors: dict[str, torch.Tensor],
    blocks: Mapping[str, tuple[GGMLQuantizationType, np.ndarray]] = {},
) -> Path:
    """Write a GGUF file of F32 tensors; a field's key is completed by the family's name.

    `blocks` hold, in place of tensors of those names, a quantization and uint8, (rows, bytes).
    """
    writer = GGUFWriter(path, family)
    for key, value in fields.items():
        key = key if key.startswith(("general.", "tokenizer.")) else f"{family}.{key}"
        if isinstance(value, list):
            writer.add_array(key, value)
        else:
            add = {bool: "bool", int: "uint32", float: "float32", str: "string"}[type(value)]
            getattr(writer, f"add_{add}")(key, value)
    for name, tensor in tensors.items():
        if name in blocks:
            kind, raw = blocks[name]
            writer.add_tensor(name, raw, raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.detach().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_blocks(
    kind: GGMLQuantizationType, rows: int, channels: int, rng: np.random.Generator
) -> np.ndarray:
    """Return rows of blocks with every code there is and scales of weights' size: uint8."""
    block, block_bytes = GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (rows * channels // block, block_bytes)).astype(np.uint8)
    for at, size in SCALES_AT[kind.name].items():
        scale = rng.uniform(0.25, 1, len(raw)) * size * channels**-0.5
        raw[:, at : at + 2] = scale.astype(np.float16)[:, None].view(np.uint8)
    if kind.name == "MXFP4":
        raw[:, 0] = rng.integers(118, 126, len(raw))
    return raw.reshape(rows, -1)


def gguf_parts(model) -> tuple[str, dict, dict[str, torch.Tensor]]:
    """Return family, fields and tensors of a model as llama.cpp's converter would write them."""
    config = model.config
    family = {"mistral": "llama"}.get(config.model_type, config.model_type)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    fields = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "attention.key_length": head_dim,
        "rope.freq_base": float(config.rope_parameters["rope_theta"]),
    }
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if family == "llama" and "q_proj" in name:
            tensor = interleaved(tensor, config.num_attention_heads)
        if family == "llama" and "k_proj" in name:
            tensor = interleaved(tensor, config.num_key_value_heads)
        base, _, suffix = name.rpartition(".")
        layer = ""
        if base.startswith("model.layers."):
            _, _, number, base = base.split(".", 3)
            layer = f"blk.{number}."
        tensors[f"{layer}{GGUF_NAMES[base]}.{suffix}"] = tensor
    return family, fields, tensors


def write_llama2c(path: Path, model) -> Path:
    """Write a LLaMA as llama2.c's legacy export does."""
    config, state = model.config, model.state_dict()
    tied = config.tie_word_embeddings
    header = (
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.vocab_size if tied else -config.vocab_size,
        config.max_position_embeddings,
    )

    def layers(kind: str, heads: int | None = None) -> list[torch.Tensor]:
        found = [state[f"model.layers.{i}.{kind}.weight"] for i in range(config.num_hidden_layers)]
        return found if heads is None else [interleaved(rows, heads) for rows in found]

    table = torch.zeros(
        2 * config.max_position_embeddings * config.hidden_size // config.num_attention_heads // 2
    )
    parts = [
        state["model.embed_tokens.weight"],
        *layers("input_layernorm"),
        *layers("self_attn.q_proj", config.num_attention_heads),
        *layers("self_attn.k_proj", config.num_key_value_heads),
        *layers("self_attn.v_proj"),
        *layers("self_attn.o_proj"),
        *layers("post_attention_layernorm"),
        *layers("mlp.gate_proj"),
        *layers("mlp.down_proj"),
        *layers("mlp.up_proj"),
        state["model.norm.weight"],
        table,
        *([] if tied else [state["lm_head.weight"]]),
    ]
    data = b"".join(part.contiguous().numpy().tobytes() for part in parts)
    path.write_bytes(struct.pack("<7i", *header) + data)
    return path


def refused(path: Path) -> str:
    """Return what loading a path, or reading all of its tensors, is refused with."""
    with pytest.raises(CheckpointError) as error:
        checkpoint = load(path)
        for name in checkpoint.names():
            checkpoint.tensor(name)
    return str(error.value)
