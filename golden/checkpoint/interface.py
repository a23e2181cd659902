"""What every checkpoint offers, be its tensors read from files, made of others' or drawn."""

from pathlib import Path
from typing import Protocol

from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.readers import StoredGrid
from golden.checkpoint.tokenizer import Tokenizer

__all__ = ["Checkpoint", "Weights"]


class Weights(Protocol):
    """A configuration and its tensors, which are made or read when they are asked for."""

    @property
    def config(self) -> ModelConfig:
        """The model's shapes."""
        ...

    @property
    def stamp(self) -> list:
        """JSON values that tell these weights from others of the same shapes."""
        ...

    def names(self) -> list[str]:
        """Return the canonical names of the tensors; a tied output head is not among them."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; a matrix is (outputs, inputs)."""
        ...

    def tensor(self, name: str) -> Tensor:
        """Return a tensor, float32; the names are `golden.checkpoint.names.tensor_shapes`'s."""
        ...

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return rows `start` up to, not including, `stop` of a tensor."""
        ...

    def grid(self, name: str) -> StoredGrid | None:
        """Return the grid that a matrix lies on, where it does on one of numerics, section 4."""
        ...

    def format(self, name: str) -> str:
        """Return what a file holds a tensor's numbers in, such as Q4_1; empty if in none."""
        ...


class Checkpoint(Weights, Protocol):
    """Weights of a trained model: they lie somewhere, and a tokenizer goes with them."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; `CheckpointError` where there is none."""
        ...
