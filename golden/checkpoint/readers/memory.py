"""Models of transformers in memory: what `save_pretrained` would write, without the disk."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from tokenizers import Tokenizer as FastTokenizer
from torch import Tensor

from golden.checkpoint.readers import Contents, StoredTensor
from golden.checkpoint.readers.hf import canonical_name, ends, require_family
from golden.checkpoint.readers.hf_config import model_config
from golden.checkpoint.readers.quantization import require_floats
from golden.checkpoint.tokenizer import Tokenizer, of_fast
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["Fast", "InMemory", "name_of", "read"]


class InMemory(Protocol):
    """What is used of a `transformers.PreTrainedModel`."""

    config: Any

    def state_dict(self) -> Mapping[str, Any]:
        """Return the tensors by transformers' names."""
        ...


class Fast(Protocol):
    """What is used of a `transformers.PreTrainedTokenizerFast`."""

    backend_tokenizer: Any


def name_of(model: InMemory) -> str:
    """Return the last part of what a model was loaded by, or ``model``."""
    return Path(getattr(model.config, "name_or_path", None) or "model").name or "model"


def read(model: InMemory, tokenizer: Fast | None, name: str) -> Contents:
    """Take a causal language model of the family as it is.

    Raises `CheckpointError` where it is another kind of model, or its weights are not in memory.
    """
    place = Path(name)
    fields = json.loads(model.config.to_json_string())
    require_family(place, fields)
    require_floats(place, fields)
    if tokenizer is not None:
        _backend(name, tokenizer)
    tensors: dict[str, StoredTensor] = {}
    for key, value in model.state_dict().items():
        if not value.is_floating_point() or value.is_meta:
            state = "not in memory" if value.is_meta else f"of the type {value.dtype}"
            raise CheckpointError(
                f"{name}: {key} is {state}: load the model as it is, in F32, F16 or BF16"
            )
        if canonical := canonical_name(place, key):
            tensors[canonical] = StoredTensor(key, tuple(value.shape), _reading(value))
    return Contents(
        model_config(place, fields, tensors, name),
        tensors,
        lambda: _tokenizer(name, tokenizer, fields),
        (),
        lambda: _digest(tensors),
    )


def _reading(value: Tensor) -> Callable[[int, int], Tensor]:
    def read(first: int, end: int) -> Tensor:
        # A copy even of float32: what is read must not change with the model.
        return value.detach()[first:end].to("cpu", torch.float32, copy=True)

    return read


def _digest(tensors: Mapping[str, StoredTensor]) -> str:
    """Return the SHA-256, in hex, of all tensors in float32."""
    whole = hashlib.sha256()
    for name, stored in sorted(tensors.items()):
        whole.update(f"{name} {stored.shape}\n".encode())
        whole.update(stored.read(0, stored.shape[0]).contiguous().numpy().data)
    return whole.hexdigest()


def _tokenizer(name: str, tokenizer: Fast | None, fields: dict[str, Any]) -> Tokenizer:
    if tokenizer is None:
        raise CheckpointNotFoundError(
            f"{name} has no tokenizer: give one with tokenizer=, or use token ids"
        )
    return of_fast(FastTokenizer.from_str(_backend(name, tokenizer).to_str()), *ends(fields))


def _backend(name: str, tokenizer: Fast) -> FastTokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, FastTokenizer):
        raise CheckpointError(
            f"{name}: the tokenizer must be a fast one of transformers, not "
            f"{type(tokenizer).__name__}"
        )
    return backend
