"""The container of a safetensors file: where each tensor lies; only its header is read at once."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from golden.checkpoint.readers.file_bytes import FileBytes, require_file
from golden.console.errors import CheckpointError

__all__ = ["FileTensor", "tensors_of"]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
}
"""Those whose values are read, by safetensors' names."""


@dataclass(frozen=True)
class FileTensor:
    """A tensor in a file: its name there, its dtype in safetensors' word, where it begins."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: FileBytes
    start: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    def read(self, first: int, end: int, *, ahead: bool = True) -> torch.Tensor:
        """Return rows `first` to `end` as they lie there, in one of `DTYPES`.

        `ahead` says that what follows is asked for next. Raises `ValueError` where the file ends
        before.
        """
        dtype = DTYPES[self.dtype]
        row_bytes = math.prod(self.shape[1:]) * dtype.itemsize
        data = self.file.read(
            self.start + first * row_bytes, (end - first) * row_bytes, ahead=ahead
        )
        return torch.from_numpy(data).view(dtype).reshape(-1, *self.shape[1:])

    def whole(self, *, ahead: bool = False) -> torch.Tensor:
        """Return all of it; see `read`."""
        return self.read(0, self.shape[0], ahead=ahead)


def tensors_of(path: Path) -> dict[str, FileTensor]:
    """Return the tensors of a file by their names there; `CheckpointError` where it is damaged."""
    require_file(path)
    try:
        safe_open(path, framework="pt")  # holds the header against the file
        places, base = _header(path)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}): get it again") from error
    file = FileBytes(path)
    return {
        name: FileTensor(
            name, place["dtype"], tuple(place["shape"]), file, base + place["data_offsets"][0]
        )
        for name, place in places.items()
    }


def _header(path: Path) -> tuple[dict[str, dict], int]:
    """Return what a file says of its tensors, and where the first byte of them lies."""
    with path.open("rb") as file:
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
