"""The golden model as one side of the comparison: its own tensors, as a device would have them."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.rope import pair_order
from golden.model.integer import IntegerModel
from hw.contract import isa
from sim.check.expected import Expected
from sim.diverge.sources import Taken, whole
from sim.diverge.steps import Piece, Step

__all__ = ["GoldenLayers", "GoldenModel", "channels_at", "kind_of"]

_LAST_ONLY = ("final_norm", "logits", "head.counts")  # of a prompt, the last token's
_BY_POSITION = ("scores", "w", "probabilities.counts")
_IN_PAIRS = ("q", "k", "q_norm", "k_norm", "q_rotated", "k_rotated", "query.counts", "key")


def kind_of(tensor: str) -> str:
    """Return a tensor's name without its layer."""
    return tensor.split(".", 2)[2] if tensor.startswith("layers.") else tensor


def channels_at(tensor: str, channels: int, config: ModelConfig) -> np.ndarray:
    """Return which of a tensor's channels, all heads', is at each place of a row in memory.

    Of what makes queries and keys, the pairs that rotate lie side by side.
    """
    if kind_of(tensor) not in _IN_PAIRS:
        return np.arange(channels)
    pairs = pair_order(config.head_dim, config.rope_interleaved).numpy()
    return (np.arange(0, channels, pairs.size)[:, None] + pairs).reshape(-1)


class GoldenModel:
    """Golden's integer model, run for a prompt; see `sim.diverge.sources.Source`.

    `observe` is the model's; `run` must be called before anything is taken.
    """

    end: str | None = None

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._rows: dict[tuple[str, int], np.ndarray] = {}  # by tensor and position
        self._positions = 0
        self._tokens: dict[int, int] = {}

    def observe(self, name: str, x: Tensor) -> None:
        """Keep a tensor."""
        if name == "embed":
            self._positions += len(x)
        kind = kind_of(name)
        if kind.endswith("threshold"):
            return  # no device shows it
        count = 1 if kind in _LAST_ONLY else self._batch(name, x)
        rows = x.numpy().reshape(count, -1, *x.shape[-1:])  # (positions, heads, elements)
        for row, position in enumerate(range(self._positions - count, self._positions)):
            seen = rows[row, :, : position + 1] if kind in _BY_POSITION else rows[row]
            flat = seen.reshape(-1)
            self._rows[name, position] = flat[channels_at(name, flat.size, self._config)]

    def run(self, model: IntegerModel, ids: Sequence[int], tokens: int, stop: int) -> None:
        """Run the model, which must observe with `observe`."""
        made = model.generate(ids, tokens, (stop,))
        self._tokens = dict(enumerate(made, len(ids)))

    def take(self, step: Step, piece: Piece) -> Taken | None:
        """Return a piece; see `Source`."""
        position = step.position
        if piece.kind == "token":
            token = self._tokens.get(position + 1)
            return None if token is None else whole(np.array([[token]]))
        if piece.kind == "scales":
            row = self.scale_words(piece.tensor.removesuffix("_scales"), position)
        else:
            row = self._rows.get((piece.tensor, position))
        if row is None:
            return None
        first = piece.first_row * piece.elements
        return whole(
            row[first : first + piece.rows * piece.elements].reshape(piece.rows, piece.elements)
        )

    def scale_words(self, name: str, position: int) -> np.ndarray | None:
        """Return the scale words of a position's keys or values, (kv_heads,)."""
        mantissa = self._rows.get((f"{name}_mantissa", position))
        exponent = self._rows.get((f"{name}_exponent", position))
        if mantissa is None or exponent is None:
            return None
        mantissa = mantissa.astype(np.int64) << isa.SCALE["mantissa"].offset
        return mantissa + (exponent.astype(np.int64) << isa.SCALE["exponent"].offset)

    def left(self) -> list[int]:
        """Return nothing: golden has no memory."""
        return []

    def _batch(self, name: str, x: Tensor) -> int:
        """Return the positions in a tensor, which of some names has a row a head."""
        by_head = kind_of(name).startswith(("query.", "probabilities."))
        return len(x) // self._config.heads if by_head else len(x)


class GoldenLayers:
    """What golden expects of layers; see `sim.diverge.sources.Source`."""

    end: str | None = None

    def __init__(self, expected: Expected) -> None:
        sites = {f"{name}.counts": site.counts for name, site in expected.sites.items()}
        outputs = {name.removesuffix(".output"): y for name, y in expected.outputs.items()}
        self._tensors: Mapping[str, np.ndarray] = sites | outputs

    def take(self, step: Step, piece: Piece) -> Taken | None:
        """Return a piece; see `Source`."""
        tensor = self._tensors.get(piece.tensor)
        if tensor is None:
            return None
        return whole(tensor[piece.first_row : piece.first_row + piece.rows])

    def left(self) -> list[int]:
        """Return nothing: golden has no memory."""
        return []
