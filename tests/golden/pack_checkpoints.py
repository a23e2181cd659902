"""Small random checkpoints with packed weights, packed here bit by bit as the formats define them.

Nothing of the readers is used. What the weights are is told in float64, from the integers that
were packed.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.golden.make_checkpoints import random_model

WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output that each nibble holds
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass
class Format:
    """How to pack: `config` is the quantization_config, `group` -1 for whole rows."""

    name: str
    layout: str
    config: dict
    bits: int = 4
    group: int = 32
    symmetric: bool = False
    ordered: bool = True  # False: act order
    scales: torch.dtype = torch.float16


@dataclass
class Packed:
    """A directory, what its packed matrices are, by canonical name, and all that was packed."""

    path: Path
    weights: dict[str, Tensor] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def save(self, **changes: Tensor | None) -> Path:
        """Write it, with other tensors in place of these: `__` for a dot, None for none."""
        changed = self.tensors | {key.replace("__", "."): value for key, value in changes.items()}
        kept = {key: value.contiguous() for key, value in changed.items() if value is not None}
        save_file(kept, self.path / "model.safetensors")
        return self.path

    def configure(self, **changes: object) -> Path:
        """Change what its quantization_config says."""
        place = self.path / "config.json"
        config = json.loads(place.read_text())
        config["quantization_config"] |= changes
        place.write_text(json.dumps(config))
        return self.path


def awq(group: int = 32, **config) -> Format:
    """AutoAWQ's version gemm."""
    said = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True}
    return Format("AWQ", "awq", said | {"version": "gemm"} | config, group=group)


def gptq(bits: int = 4, group: int = 32, *, v2: bool = False, sym: bool = False, **more) -> Format:
    """GPTQ, of the first or the second version."""
    said = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym}
    said |= {"checkpoint_format": "gptq_v2" if v2 else "gptq", "desc_act": "ordered" in more}
    return Format("GPTQ", "gptq", said, bits, group, sym, **more)


def compressed(bits: int = 4, group: int = 32, *, sym: bool = True, **more) -> Format:
    """compressed-tensors, pack-quantized."""
    weights = {"num_bits": bits, "type": "int", "symmetric": sym}
    weights |= {"strategy": "channel" if group == -1 else "group"}
    weights |= {"group_size": None if group == -1 else group}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None}}
    said = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    said |= {"config_groups": groups, "ignore": ["lm_head"]}
    more = {"scales": torch.bfloat16} | more
    return Format(f"compressed-tensors W{bits}A16", "compressed", said, bits, group, sym, **more)


def mxfp4() -> Format:
    """gpt-oss's blocks and scales."""
    return Format("MXFP4", "mxfp4", {"quant_method": "mxfp4"}, symmetric=True)


def compressed_mxfp4() -> Format:
    """compressed-tensors, mxfp4-pack-quantized."""
    groups = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float"}}}
    said = {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"}
    said |= {"config_groups": groups}
    return Format("MXFP4", "compressed-mxfp4", said, symmetric=True)


def words(values: np.ndarray, bits: int, order: tuple[int, ...] | None = None) -> np.ndarray:
    """Pack integers along the last axis into int32; `order` says what each place holds."""
    held = 32 // bits
    order = order or tuple(range(held))
    values = np.pad(values, [(0, 0), (0, -values.shape[1] % held)])
    packed = np.zeros((values.shape[0], values.shape[1] // held), np.uint32)
    for place in range(held):
        packed |= values[:, order[place] :: held].astype(np.uint32) << np.uint32(bits * place)
    return packed.view(np.int32)


def pack(layer: str, shape: tuple[int, int], form: Format, rng) -> tuple[dict, Tensor]:
    """Return parts of a random matrix by their names in a file, and its weights in float64."""
    outputs, inputs = shape
    if "mxfp4" in form.layout:
        return _pack_mxfp4(layer, shape, form.layout == "mxfp4", rng)
    size = inputs if form.group == -1 else form.group
    groups, top = inputs // size, 1 << form.bits
    q = rng.integers(0, top, shape)
    middle = np.full((outputs, groups), top // 2)
    zero = middle if form.symmetric else rng.integers(0, top, (outputs, groups))
    scale = torch.from_numpy(rng.uniform(0.25, 1, (outputs, groups)) * inputs**-0.5)
    scale = scale.to(form.scales)
    of_input = np.arange(inputs) // size
    if not form.ordered:
        of_input = rng.permutation(of_input)
    of_weight = torch.from_numpy(of_input)
    weights = scale.double()[:, of_weight] * torch.from_numpy(q - zero[:, of_input]).double()
    torches = {
        "awq": lambda: {
            "qweight": words(q.T, 4, AWQ_ORDER),
            "qzeros": words(zero.T, 4, AWQ_ORDER),
            "scales": scale.T,
        },
        "gptq": lambda: {
            "qweight": words(q, form.bits).T,
            "qzeros": words(zero.T, form.bits) - _one(form),
            "scales": scale.T,
            "g_idx": of_input.astype(np.int32),
        },
        "compressed": lambda: (
            {
                "weight_packed": words(q, form.bits),
                "weight_scale": scale,
                "weight_shape": np.array(shape),
            }
            | ({} if form.symmetric else {"weight_zero_point": words(zero.T, form.bits).T})
            | ({} if form.ordered else {"weight_g_idx": of_input.astype(np.int32)})
        ),
    }[form.layout]()
    return {f"{layer}.{part}": torch.as_tensor(value) for part, value in torches.items()}, weights


def _one(form: Format) -> np.int32:
    """Return what the first version of GPTQ takes from words of zeros, as GPTQModel does."""
    if form.config["checkpoint_format"] == "gptq_v2":
        return np.int32(0)
    return np.int32(0x11111111 if form.bits == 4 else 0x01010101)


def _pack_mxfp4(layer: str, shape: tuple[int, int], blocks: bool, rng) -> tuple[dict, Tensor]:
    outputs, inputs = shape
    q, exponent = rng.integers(0, 16, shape), rng.integers(118, 126, (outputs, inputs // 32))
    signs = np.where(q >= 8, -1.0, 1.0)
    weights = signs * np.array(E2M1)[q % 8] * np.exp2(np.repeat(exponent - 127.0, 32, axis=1))
    packed = torch.from_numpy((q[:, 0::2] + 16 * q[:, 1::2]).astype(np.uint8))
    scales = torch.from_numpy(exponent.astype(np.uint8))
    names = ("weight_blocks", "weight_scales") if blocks else ("weight_packed", "weight_scale")
    if blocks:
        packed = packed.view(outputs, inputs // 32, 16)
    parts = {f"{layer}.{name}": value for name, value in zip(names, (packed, scales), strict=True)}
    return parts, torch.from_numpy(weights)


def packed_model(
    path: Path, form: Format, seed: int, kind: str = "llama", head: bool = False, **changes
) -> Packed:
    """Write a random model whose linear layers, with its head if asked for, are packed."""
    model = random_model(kind, seed, **(WIDE | changes))
    model.save_pretrained(path)
    rng, made = np.random.default_rng(seed), Packed(path)
    for key, tensor in model.state_dict().items():
        layer = key.removesuffix(".weight")
        if layer.endswith("_proj") or (head and layer == "lm_head"):
            parts, weights = pack(layer, tuple(tensor.shape), form, rng)
            made.tensors |= parts
            short = layer.rpartition(".")[2].removesuffix("_proj")
            made.weights[short if layer == "lm_head" else f"layers.0.{short}"] = weights
        else:
            made.tensors[key] = tensor.detach().clone()
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = form.config
    (path / "config.json").write_text(json.dumps(config))
    made.save()
    return made
