"""Checkpoints whose tensors are made rather than read: of another checkpoint's, or drawn."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.names import tensor_shapes
from golden.checkpoint.readers import StoredGrid
from golden.checkpoint.tokenizer import Tokenizer

__all__ = ["DerivedCheckpoint", "LatestTensor"]


class LatestTensor(threading.local):
    """Keeps the tensor that a thread asked for last, since tensors are made as a whole."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._tensor: Tensor | None = None

    def get(self, name: str, make: Callable[[str], Tensor]) -> Tensor:
        """Return a tensor by its name; it is made unless it was the last."""
        if self._tensor is None or self._name != name:
            self._tensor = None  # not two at once
            self._name, self._tensor = name, make(name)
        return self._tensor


class DerivedCheckpoint(ABC):
    """A checkpoint whose tensors are made of another's.

    A class that derives from it says what `tensor` returns. A tensor is made whenever it is read.

    Parameters
    ----------
    checkpoint : Checkpoint
        What the tensors are made of.
    config : ModelConfig
        What they are the tensors of.
    """

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig) -> None:
        self._checkpoint, self.config = checkpoint, config
        self.path = checkpoint.path
        self._shapes = tensor_shapes(config)
        self._latest = LatestTensor()

    @property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's tokenizer."""
        return self._checkpoint.tokenizer

    @property
    def stamp(self) -> list[list[str | int]]:
        """The checkpoint's stamp; what the tensors are beyond that, a recipe says."""
        return self._checkpoint.stamp

    def names(self) -> list[str]:
        """Return the canonical names of the tensors."""
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        if name not in self._shapes:
            raise ValueError(f"{self.config.name} has no tensor {name}")
        return self._shapes[name]

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return rows of a tensor, which is made as a whole: a part may round otherwise.

        It is kept until the same thread asks for another.
        """
        return self._latest.get(name, self.tensor)[start:stop]

    def grid(self, name: str) -> StoredGrid | None:
        """Return nothing: tensors that are made lie on no grid."""
        return None

    def format(self, name: str) -> str:
        """Return nothing: they lie in no file."""
        return ""

    @abstractmethod
    def tensor(self, name: str) -> Tensor:
        """Return a tensor, float32; errors are those of `LoadedCheckpoint.tensor`."""
