"""Synthetic weights: a model's shapes with random numbers in them, for load tests."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.derived import LatestTensor
from golden.checkpoint.names import tensor_shapes
from golden.checkpoint.tokenizer import Tokenizer
from golden.console.errors import CheckpointError

__all__ = ["SyntheticCheckpoint"]


class SyntheticCheckpoint:
    """A drawn `golden.checkpoint.interface.Checkpoint`; no tensor is kept.

    Parameters
    ----------
    config : ModelConfig
        The model's shapes.
    seed : int
        Of the random numbers; a tensor's depend on it and on its name only.
    """

    def __init__(self, config: ModelConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._shapes = tensor_shapes(config)
        self._latest = LatestTensor()

    @property
    def stamp(self) -> list[str | int]:
        """What tells its weights from others: the seed, since a build has the shapes anyhow."""
        return ["synthetic", self.seed]

    @property
    def path(self) -> Path:
        """What messages call it; it lies nowhere."""
        return Path(f"synthetic-{self.seed}")

    @property
    def tokenizer(self) -> Tokenizer:
        """Raise CheckpointError."""
        raise CheckpointError("synthetic weights have no tokenizer: name a trained checkpoint")

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return rows of a tensor, which is kept until the same thread asks for another."""
        return self._latest.get(name, self.tensor)[start:stop]

    def grid(self, name: str) -> None:
        """Return nothing: weights that are drawn lie on no grid."""

    def format(self, name: str) -> str:
        """Return nothing: they lie in no file."""
        return ""

    def names(self) -> list[str]:
        """Return the canonical names of the tensors."""
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._shapes[self._resolve(name)]

    def tensor(self, name: str) -> Tensor:
        """Return a tensor, float32: gains of 1, else normal numbers of variance 1 / inputs."""
        name = self._resolve(name)
        shape = self._shapes[name]
        if name.endswith("_norm"):
            return torch.ones(shape)
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        generator = np.random.default_rng(np.frombuffer(digest, np.uint32))
        values = generator.standard_normal(shape, np.float32)
        values *= np.float32(shape[-1] ** -0.5)
        return torch.from_numpy(values)

    def _resolve(self, name: str) -> str:
        return "embed" if name == "lm_head" and self.config.tied_head else name
