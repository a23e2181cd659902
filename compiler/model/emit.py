"""Pass 6, emit: the tables that a whole model needs besides its matrices, region by region."""

from collections.abc import Iterator

import numpy as np
import torch

from compiler.emit import Shards, Weights
from compiler.model.lower import WholeModel
from compiler.model.place import gains
from compiler.order import ChannelOrder
from compiler.place import Region
from compiler.tile import pack_channel_words
from golden.checkpoints import Checkpoint
from golden.fixed import to_fixed
from golden.rope import angles_table, pair_order
from hw.params import HwParams

__all__ = ["emit_constants", "in_pair_order"]

_ROWS_AT_ONCE = 1024
_OUTPUT_MANTISSA, _OUTPUT_EXPONENT = 1 << 15, 27  # numerics, section 9


def emit_constants(
    model: WholeModel,
    checkpoint: Checkpoint,
    regions: dict[str, Region],
    params: HwParams,
    shards: Shards,
    channels: ChannelOrder | None = None,
) -> None:
    """Write embeddings, rotations, gains and the scales of the outputs of attention.

    Embeddings and the gains of the residual stream lie in the order of its `channels`.
    """
    config = model.config
    stream = slice(None) if channels is None else channels.stream
    order = _head_order(model)
    shards.write(regions["embed"], _vectors(checkpoint.tensor("embed"), params, stream))
    shards.write(regions["rope"], _rotations(model, params))
    ones = np.ones(config.head_dim, np.int64)
    words = pack_channel_words(ones * _OUTPUT_MANTISSA, ones * _OUTPUT_EXPONENT, None, params)
    shards.write(regions["value_words"], [words.astype("<u4")])
    for name in gains(config):
        gain = checkpoint.tensor(name)
        if name.endswith(("q_norm", "k_norm")):
            gain = gain[order]
        else:
            gain = gain[stream]
        shards.write(regions[name], _vectors(gain[None], params))


def in_pair_order(name: str, weights: Weights, model: WholeModel) -> Weights:
    """Return a matrix with the pairs that rotate side by side, if it makes queries or keys."""
    if name.rpartition(".")[2] not in ("q", "k"):
        return weights
    starts = np.arange(0, len(weights.codes), model.config.head_dim)
    rows = (starts[:, None] + _head_order(model)).reshape(-1)
    return Weights(*(None if part is None else part[rows] for part in weights))


def _head_order(model: WholeModel) -> np.ndarray:
    return pair_order(model.config.head_dim, model.config.rope_interleaved).numpy()


def _rotations(model: WholeModel, params: HwParams) -> Iterator[np.ndarray]:
    config = model.config
    for start in range(0, model.context, _ROWS_AT_ONCE):
        positions = torch.arange(start, min(start + _ROWS_AT_ONCE, model.context))
        table = angles_table(positions, config.head_dim, config.rope_theta, config.rope_scaling)
        yield from _vectors(torch.stack(table, dim=-1).flatten(1), params)


def _vectors(
    rows: torch.Tensor, params: HwParams, order: slice | np.ndarray = slice(None)
) -> Iterator[np.ndarray]:
    """Yield rows in Q15.16, their elements in an order, each padded to whole memory words."""
    padding = -rows.shape[1] % params.encode_lanes
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = to_fixed(rows[start : start + _ROWS_AT_ONCE]).numpy()[:, order]
        yield np.pad(block, ((0, 0), (0, padding))).astype("<i4")
