"""Readers of checkpoint formats: each turns a path into `Contents`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.numerics.groups import GridRows

if TYPE_CHECKING:
    from golden.checkpoint.tokenizer import Tokenizer

__all__ = ["Contents", "StoredGrid", "StoredTensor"]


@dataclass(frozen=True)
class StoredGrid:
    """The grid that a file's weights lie on (numerics, section 4).

    Parameters
    ----------
    format : str
        What people call it, such as Q4_1 or AWQ.
    group, bits : int
        Input channels that share a scale; bits that hold a code.
    offsets : str
        ``none``, or what each group has beside its scale: ``z`` or ``m``.
    offset_shift : int
        c of its 16-bit form (`golden.numerics.groups.GridRows`).
    read : callable
        Reads rows `start` to `stop` as they lie in the file, raising `ValueError` where its bytes
        make no sense.
    """

    format: str
    group: int
    bits: int
    offsets: str
    offset_shift: int
    read: Callable[[int, int], GridRows]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file.

    Parameters
    ----------
    name : str
        What the file calls it, for messages.
    shape : tuple of int
        Its shape; a matrix is (outputs, inputs).
    read : callable
        Reads its rows `start` to `stop` as float32 (elements where it has one axis), raising
        `ValueError` where its bytes make no sense.
    grid : StoredGrid, optional
        The grid that it lies on.
    format : str
        What its numbers are held in, for messages.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[int, int], Tensor]
    grid: StoredGrid | None = None
    format: str = ""


@dataclass(frozen=True)
class Contents:
    """What a reader finds: the configuration, the tensors under canonical names, the tokenizer.

    `files` are those that the tensors lie in; where they lie in none, `stamp` tells their values
    from others. The tokenizer is read when `tokenizer` is called, which raises `CheckpointError`
    where there is none.
    """

    config: ModelConfig
    tensors: dict[str, StoredTensor]
    tokenizer: Callable[[], "Tokenizer"]
    files: tuple[Path, ...]
    stamp: Callable[[], str] | None = None
