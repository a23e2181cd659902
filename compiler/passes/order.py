"""The order of a model's channels in memory: permutations that change no result.

Sums over channels are exact integers and everything else between matrices is done channel by
channel, so the residual stream may lie in any order as long as all that writes and reads it agrees;
so may the channels between gate/up and down, and those of a key/value head's values. Codes and
scales are found before anything is moved: not even their rounding can tell.
"""

import base64
import binascii
from dataclasses import dataclass

import numpy as np

from compiler.passes.emit import Weights
from golden.checkpoint.config import ModelConfig

__all__ = ["ChannelOrder", "ordered"]

_PLACE = np.dtype("<u2")  # channels are at most 2^15


@dataclass(frozen=True)
class ChannelOrder:
    """Which channel of the checkpoint stands at each place.

    Attributes
    ----------
    config : ModelConfig
        The model.
    stream : ndarray
        Of the residual stream, (hidden_size,).
    down : tuple of ndarray
        Of each layer's channels between gate/up and down, (ffn_size,).
    values : tuple of ndarray
        Of each layer's values, head by head, (kv_heads, head_dim).

    Raises
    ------
    ValueError
        Where one is no permutation, or they are not the model's.
    """

    config: ModelConfig
    stream: np.ndarray
    down: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        config = self.config
        if not len(self.down) == len(self.values) == config.layers:
            raise ValueError(f"an order must have {config.layers} layers, not {len(self.down)}")
        for part, shape in (
            (self.stream, (config.hidden_size,)),
            *((part, (config.ffn_size,)) for part in self.down),
            *((part, (config.kv_heads, config.head_dim)) for part in self.values),
        ):
            if part.shape != shape or (np.sort(part, axis=-1) != np.arange(shape[-1])).any():
                raise ValueError(f"an order must be a permutation of shape {shape}")

    @classmethod
    def unchanged(cls, config: ModelConfig) -> "ChannelOrder":
        """Return the checkpoint's own order."""
        heads = np.tile(np.arange(config.head_dim), (config.kv_heads, 1))
        ffn = np.arange(config.ffn_size)
        every = range(config.layers)
        return cls(
            config,
            np.arange(config.hidden_size),
            tuple(ffn for _ in every),
            tuple(heads for _ in every),
        )

    def inputs(self, matrix: str) -> np.ndarray:
        """Return which of its columns stands at each place, by a matrix's canonical name."""
        place, _, kind = matrix.rpartition(".")
        if kind == "down":
            return self.down[_layer(place)]
        if kind == "o":
            config = self.config
            of_queries = np.repeat(
                self.values[_layer(place)], config.heads // config.kv_heads, axis=0
            )
            return (np.arange(config.heads)[:, None] * config.head_dim + of_queries).reshape(-1)
        return self.stream

    def outputs(self, matrix: str) -> np.ndarray | None:
        """Return which of its rows stands at each place, or None where they stay."""
        place, _, kind = matrix.rpartition(".")
        if kind in ("o", "down"):
            return self.stream
        if kind in ("gate", "up"):
            return self.down[_layer(place)]
        if kind == "v":
            config = self.config
            heads = np.arange(config.kv_heads)[:, None] * config.head_dim
            return (heads + self.values[_layer(place)]).reshape(-1)
        return None

    def as_dict(self) -> dict[str, str]:
        """Return it for the manifest: 16-bit little-endian channel numbers in base64."""
        parts = {"stream": self.stream}
        for layer, (down, values) in enumerate(zip(self.down, self.values, strict=True)):
            parts |= {f"layers.{layer}.down": down, f"layers.{layer}.values": values}
        return {
            name: base64.b64encode(part.astype(_PLACE).tobytes()).decode()
            for name, part in parts.items()
        }

    @classmethod
    def from_dict(cls, config: ModelConfig, parts: dict[str, str]) -> "ChannelOrder":
        """Rebuild from `as_dict`'s result; raises ValueError where that is not of the model."""
        heads = (config.kv_heads, config.head_dim)
        try:
            found = {
                name: np.frombuffer(base64.b64decode(part, validate=True), _PLACE).astype(np.int64)
                for name, part in parts.items()
            }
            layers = [f"layers.{i}" for i in range(config.layers)]
            down = tuple(found[f"{layer}.down"] for layer in layers)
            values = tuple(found[f"{layer}.values"].reshape(heads) for layer in layers)
            return cls(config, found["stream"], down, values)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise ValueError(
                f"the order of channels is not of {config.name}: build the model again"
            ) from None


def ordered(name: str, weights: Weights, order: ChannelOrder) -> Weights:
    """Return a matrix with its rows and columns in an order."""
    codes = weights.codes[:, order.inputs(name)]
    weights = weights._replace(codes=codes)
    rows = order.outputs(name)
    if rows is None:
        return weights
    return Weights(*(None if part is None else part[rows] for part in weights))


def _layer(place: str) -> int:
    return int(place.removeprefix("layers."))
