"""The keys and values that a model remembers, as it computes them: in float, or as codes."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.numerics.kv import Rows

__all__ = ["FloatCache", "IntegerCache", "KVCache"]

_T = TypeVar("_T")


class KVCache(ABC, Generic[_T]):
    """Keys and values of the tokens so far, by layer.

    Parameters
    ----------
    config : ModelConfig
        The model.
    positions : int
        How many tokens it holds, at most `config.max_positions`.
    """

    def __init__(self, config: ModelConfig, positions: int) -> None:
        if not 1 <= positions <= config.max_positions:
            raise ValueError(f"positions must be in [1, {config.max_positions}], not {positions}")
        self.positions = positions

    @abstractmethod
    def extend(self, layer: int, start: int, k: _T, v: _T) -> tuple[_T, _T]:
        """Put in the keys and values of tokens `start` and on; return all up to the last one.

        All four are (tokens, kv_heads, head_dim).
        """


class FloatCache(KVCache[Tensor]):
    """Keys and values in float32."""

    def __init__(self, config: ModelConfig, positions: int) -> None:
        super().__init__(config, positions)
        shape = (config.layers, positions, config.kv_heads, config.head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)

    def extend(self, layer: int, start: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put in and return float32 tensors."""
        end = start + len(k)
        self.keys[layer, start:end], self.values[layer, start:end] = k, v
        return self.keys[layer, :end], self.values[layer, :end]


class IntegerCache(KVCache[Rows]):
    """Keys and values as codes with their scale words."""

    def __init__(self, config: ModelConfig, positions: int) -> None:
        super().__init__(config, positions)
        self._layers: dict[int, tuple[Rows, Rows]] = {}
        self._shape = (positions, config.kv_heads, config.head_dim)

    def extend(self, layer: int, start: int, k: Rows, v: Rows) -> tuple[Rows, Rows]:
        """Put in and return rows of codes."""
        if layer not in self._layers:
            self._layers[layer] = self._empty(), self._empty()
        end = start + len(k.codes)
        held = self._layers[layer]
        for rows, new in zip(held, (k, v), strict=True):
            rows.codes[start:end] = new.codes
            rows.mantissa[start:end], rows.exponent[start:end] = new.mantissa, new.exponent
        return held[0].first(end), held[1].first(end)

    def _empty(self) -> Rows:
        return Rows(
            torch.zeros(self._shape, dtype=torch.int8),
            torch.zeros(self._shape[:2], dtype=torch.int32),
            torch.zeros(self._shape[:2], dtype=torch.int32),
        )
