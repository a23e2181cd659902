"""The quantized layers among the tensors of a Hugging Face directory, by what they are made of."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from golden.checkpoint.readers import StoredTensor
from golden.checkpoint.readers.packed_rows import mxfp4_blocks, mxfp4_packed, pack_quantized
from golden.checkpoint.readers.packed_words import LatestWords, awq, gptq
from golden.checkpoint.readers.quantization import Packing
from golden.checkpoint.readers.safetensors_file import FileTensor
from golden.console.errors import CheckpointError

__all__ = ["take_layers"]


class Parts(NamedTuple):
    """What a packed matrix is made of; `joint` comes between a layer's name and a part's."""

    needed: tuple[str, ...]
    others: tuple[str, ...] = ()
    joint: str = "."


LAYOUTS = {
    "awq": Parts(("qweight", "qzeros", "scales")),
    "gptq": Parts(("qweight", "qzeros", "scales"), ("g_idx",)),
    "pack-quantized": Parts(
        ("weight_packed", "weight_scale", "weight_shape"), ("weight_zero_point", "weight_g_idx")
    ),
    "mxfp4-pack-quantized": Parts(("weight_packed", "weight_scale")),
    "mxfp4": Parts(("blocks", "scales"), joint="_"),
}
_ALL = {
    f"{parts.joint}{part}": (parts.joint, part)
    for parts in LAYOUTS.values()
    for part in (*parts.needed, *parts.others)
}


def take_layers(
    directory: Path,
    tensors: dict[str, FileTensor],
    packing_of: Callable[[str], Packing | None],
    needs_bias: Callable[[str], bool],
) -> dict[str, StoredTensor]:
    """Take the parts of quantized layers out of `tensors`; returns the layers by their names.

    A bias of zeros, which AutoGPTQ gives to each layer that it packs, goes too, unless
    `needs_bias` of its layer. Raises `CheckpointError` for parts that do not fit.
    """
    layers: dict[str, dict[str, FileTensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        for suffix, (joint, part) in _ALL.items():
            if key.endswith(suffix):
                layer = key.removesuffix(suffix)
                # gpt-oss names the parameter: of a linear layer, its weight.
                layers[layer.removesuffix(".weight") if joint == "_" else layer][part] = tensor
    latest = LatestWords()
    found = {}
    for layer, parts in layers.items():
        packing = packing_of(layer)
        if packing is None:
            one = parts[min(parts)]
            raise CheckpointError(
                f"{one.path} holds the tensor {one.name}, whose layer no target of "
                "quantization_config names: get its config.json again"
            )
        expected = LAYOUTS[packing.layout]
        needed = expected.needed
        if packing.layout == "pack-quantized" and not packing.symmetric:
            needed = (*needed, "weight_zero_point")
        for part in needed:
            if part not in parts:
                there = next((name for name in needed if name in parts), min(parts))
                raise CheckpointError(
                    f"{directory} lacks the tensor {layer}{expected.joint}{part}, though it holds "
                    f"{parts[there].name}: it is incomplete, get it again"
                )
        found[layer] = _stored(layer, parts, packing, latest)
        for tensor in parts.values():
            if tensor.name.endswith((*expected.needed, *expected.others)):
                del tensors[tensor.name]
        if packing.layout == "gptq" and not needs_bias(layer):
            _take_zeros(tensors, f"{layer}.bias")
    return found


def _stored(
    layer: str, parts: dict[str, FileTensor], packing: Packing, latest: LatestWords
) -> StoredTensor:
    match packing.layout:
        case "awq":
            return awq(layer, parts, packing, latest)
        case "gptq":
            return gptq(layer, parts, packing, latest)
        case "pack-quantized":
            return pack_quantized(layer, parts, packing)
        case "mxfp4-pack-quantized":
            return mxfp4_packed(layer, parts, packing)
    return mxfp4_blocks(layer, parts, packing)


def _take_zeros(tensors: dict[str, FileTensor], key: str) -> None:
    bias = tensors.get(key)
    if bias and bias.dtype in ("F32", "F16", "BF16") and bias.shape and not bias.whole().any():
        del tensors[key]
