"""What the `quantization_config` of a Hugging Face directory says of its packed matrices."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.checkpoint.readers.hf_config import object_in
from golden.console.errors import CheckpointError

__all__ = ["Packing", "packings", "require_floats"]

_FLOATS = "use the checkpoint in F32, F16 or BF16, or a GGUF file"


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How matrices of a checkpoint are packed.

    Attributes
    ----------
    layout : str
        Which of the layouts it is: ``awq``, ``gptq``, ``pack-quantized``, ``mxfp4-pack-quantized``
        or ``mxfp4``.
    format : str
        What people call it.
    bits : int
        Bits that hold a code of its grid: 4 or 8.
    group : int
        Inputs that share a scale in the file; -1 for all.
    symmetric : bool
        Whether the file says that there is no z.
    less_one : bool
        Whether zeros are stored less 1.
    """

    layout: str
    format: str
    bits: int
    group: int
    symmetric: bool = False
    less_one: bool = False


def require_floats(place: Path, fields: dict[str, Any]) -> None:
    """Refuse, with a CheckpointError, a `config.json` of packed weights."""
    if quantization := object_in(place / "config.json", fields, "quantization_config"):
        raise CheckpointError(
            f"{place} is quantized ({quantization.get('quant_method')}): {_FLOATS}"
        )


def packings(directory: Path, fields: dict[str, Any]) -> Callable[[str], Packing | None] | None:
    """Return what tells the packing of a layer by its name, or None where nothing is packed.

    Raises `CheckpointError` for methods, versions and widths that are not read, by their names.
    """
    path = directory / "config.json"
    quantization = object_in(path, fields, "quantization_config")
    if not quantization:
        return None
    method = quantization.get("quant_method")
    if method == "compressed-tensors":
        return _compressed(path, quantization)
    read = {"awq": _awq, "gptq": _gptq, "mxfp4": _mxfp4}
    if method not in read:
        raise CheckpointError(
            f"{directory} is quantized ({method}): use the checkpoint in AWQ, GPTQ, "
            "compressed-tensors or MXFP4, in F32, F16 or BF16, or a GGUF file"
        )
    packing = read[method](path, quantization)
    return lambda name: packing


def _awq(path: Path, config: dict[str, Any]) -> Packing:
    version = config.get("version") or config.get("format") or "gemm"
    if config.get("backend") == "llm-awq":
        version = "llm-awq"
    _one_of(path, "the version of AWQ", str(version).lower(), ("gemm",))
    _one_of(path, "bits of AWQ", config.get("bits", 4), (4,))
    return Packing(layout="awq", format="AWQ", bits=4, group=_group(path, config, 128))


def _gptq(path: Path, config: dict[str, Any]) -> Packing:
    version = config.get("checkpoint_format") or config.get("format") or "gptq"
    if config.get("is_marlin_format"):
        version = "marlin"
    version = str(version).lower()
    _one_of(path, "the format of GPTQ", version, ("gptq", "gptq_v2"))
    bits = _one_of(path, "bits of GPTQ", config.get("bits"), (4, 8))
    dynamic = object_in(path, config, "dynamic")
    if others := [rule for rule in dynamic if not rule.startswith("-:")]:
        raise CheckpointError(
            f"{path}: dynamic must leave layers out, not pack them otherwise ({others[0]}): "
            f"{_FLOATS}"
        )
    return Packing(
        layout="gptq",
        format="GPTQ",
        bits=bits,
        group=_group(path, config, 128),
        symmetric=bool(config.get("sym", True)),
        less_one=version == "gptq",
    )


def _mxfp4(path: Path, config: dict[str, Any]) -> Packing:
    return Packing(layout="mxfp4", format="MXFP4", bits=8, group=32, symmetric=True)


def _compressed(path: Path, config: dict[str, Any]) -> Callable[[str], Packing | None]:
    """Read the groups of layers; one that names a layer goes before one that names its class."""
    if object_in(path, config, "transform_config"):
        raise CheckpointError(f"{path}: transform_config must be empty: {_FLOATS}")
    sparse = object_in(path, config, "sparsity_config").get("format", "dense")
    _one_of(path, "the format of sparsity_config", sparse, ("dense",))
    targets: dict[str, Packing] = {}
    for name in (groups := object_in(path, config, "config_groups")):
        group = object_in(path, groups, name)
        packing = _compressed_group(path, group.get("format") or config.get("format"), group)
        named = group.get("targets")
        if not isinstance(named, list):
            raise CheckpointError(f"{path} is damaged (targets is no list): get it again")
        for target in map(str, named):
            try:
                re.compile(target.removeprefix("re:"))
            except re.error as error:
                raise CheckpointError(
                    f"{path} is damaged (the target {target}: {error}): get it again"
                ) from error
            targets.setdefault(target, packing)

    def packing_of(layer: str) -> Packing | None:
        for target, packing in targets.items():
            pattern = target.removeprefix("re:")
            if layer == target or (pattern != target and re.match(pattern, layer)):
                return packing
        return targets.get("Linear")

    return packing_of


def _compressed_group(path: Path, layout: Any, group: dict[str, Any]) -> Packing:
    what = "the format of compressed-tensors"
    _one_of(path, what, layout, ("pack-quantized", "mxfp4-pack-quantized"))
    if group.get("input_activations"):
        raise CheckpointError(
            f"{path}: input_activations must be null, for vectors are encoded here: {_FLOATS}"
        )
    weights = object_in(path, group, "weights")
    if layout == "mxfp4-pack-quantized":
        return Packing(layout=layout, format="MXFP4", bits=8, group=32, symmetric=True)
    bits = _one_of(path, "num_bits of compressed-tensors", weights.get("num_bits"), (4, 8))
    _one_of(path, "the type of weights", weights.get("type", "int"), ("int",))
    strategy = weights.get("strategy") or ("group" if weights.get("group_size") else "channel")
    _one_of(path, "the strategy of weights", strategy, ("group", "channel"))
    return Packing(
        layout=layout,
        format=f"compressed-tensors W{bits}A16",
        bits=bits,
        group=-1 if strategy == "channel" else _group(path, weights, None),
        symmetric=bool(weights.get("symmetric", True)),
    )


def _group(path: Path, config: dict[str, Any], default: int | None) -> int:
    size = config.get("group_size", default)
    if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and size != -1):
        raise CheckpointError(
            f"{path}: group_size must be a positive integer, or -1 for all inputs, not {size!r}: "
            "get it again"
        )
    return size


def _one_of(path: Path, what: str, value: Any, allowed: tuple) -> Any:
    if not any(value == one and type(value) is type(one) for one in allowed):
        raise CheckpointError(
            f"{path}: {what} must be {' or '.join(map(str, allowed))}, not {value}: {_FLOATS}"
        )
    return value
