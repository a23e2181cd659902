"""Checkpoints made of another's tensors."""

from abc import ABC, abstractmethod

from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.last import Last
from golden.checkpoint.names import tensor_shapes

__all__ = ["DerivedCheckpoint"]


class DerivedCheckpoint(ABC):
    """A checkpoint whose tensors are made of another's; it is used as `Checkpoint` is.

    A class that derives from it says what `tensor` returns. A tensor is made whenever it is read.

    Parameters
    ----------
    checkpoint : Checkpoint or DerivedCheckpoint
        What the tensors are made of.
    config : ModelConfig
        What they are the tensors of.
    """

    def __init__(self, checkpoint: "Checkpoint | DerivedCheckpoint", config: ModelConfig) -> None:
        self._checkpoint, self.config = checkpoint, config
        self.path = checkpoint.path
        self._shapes = tensor_shapes(config)
        self._last = Last()

    @property
    def tokenizer(self):
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
        return self._last.get(name, self.tensor)[start:stop]

    @abstractmethod
    def tensor(self, name: str) -> Tensor:
        """Return a tensor, float32; errors are those of `Checkpoint.tensor`."""
