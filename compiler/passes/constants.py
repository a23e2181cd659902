"""What a whole model needs in memory besides its matrices: embeddings, rotations, gains."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from compiler.models.origin import row_blocks
from compiler.passes.lower import Matrix, Stage
from compiler.passes.model import WholeModel
from compiler.passes.place import gains
from compiler.passes.tile import pack_channel_words, pack_exponents
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.rope import angles_table, pair_order
from golden.numerics.fixed import to_fixed
from hw.contract.params import OUTPUT_EXPONENT, OUTPUT_MANTISSA, HwParams

__all__ = ["constants", "exponents", "row_order"]

_ROWS_AT_ONCE = 1024
_FIXED_AT_ONCE = 1 << 13  # elements: what to_fixed makes on its way stays in the cache


def constants(
    model: WholeModel, checkpoint: Checkpoint, params: HwParams
) -> dict[str, Iterable[np.ndarray]]:
    """Return the chunks of embeddings, rotations, gains and the scales of attention's outputs.

    Of the embeddings a device has its own columns only.
    """
    config = model.config
    order = _head_order(model)
    ones = np.ones(config.head_dim, np.int64)
    words = pack_channel_words(ones * OUTPUT_MANTISSA, ones * OUTPUT_EXPONENT, None, params)
    made: dict[str, Iterable[np.ndarray]] = {
        "embed": _embeddings(model, checkpoint, params),
        "rope": _rotations(model, params),
        "value_words": [words.astype("<u4")],
    }
    for name in gains(config):
        own = order if name.endswith(("q_norm", "k_norm")) else None
        made[name] = _gain(checkpoint, name, own, params)
    return made | exponents(model.stages, params)


def exponents(stages: Iterable[Stage], params: HwParams) -> dict[str, Iterable[np.ndarray]]:
    """Return the exponents of the stages that have some."""
    return {
        f"{stage.name}.exponents": [pack_exponents(stage.exponents, params)]
        for stage in stages
        if stage.exponents
    }


def row_order(matrix: Matrix, model: WholeModel) -> np.ndarray | None:
    """Return which of a matrix's rows that are compiled stands at each place, if not in its own.

    Of what makes queries and keys, the pairs that rotate come side by side. Of several devices
    each has whole heads, which stay.
    """
    config, kind = model.config, matrix.name.rpartition(".")[2]
    if kind not in ("q", "k") or config.rope_interleaved:
        return None
    heads = config.heads if kind == "q" else config.kv_heads
    starts = np.arange(heads) * config.head_dim
    rows = (starts[:, None] + _head_order(model)).reshape(-1)
    return rows[matrix.first_row : matrix.first_row + matrix.outputs] - matrix.first_row


def _head_order(model: WholeModel) -> np.ndarray:
    return pair_order(model.config.head_dim, model.config.rope_interleaved).numpy()


def _embeddings(
    model: WholeModel, checkpoint: Checkpoint, params: HwParams
) -> Iterator[np.ndarray]:
    config, own = model.config, model.shard.hidden
    for start, stop in row_blocks(0, config.vocab_size, config.hidden_size):
        rows = checkpoint.rows("embed", start, stop)
        yield from _vectors(rows[:, own.start : own.stop], params)


def _gain(
    checkpoint: Checkpoint, name: str, order: np.ndarray | None, params: HwParams
) -> Iterator[np.ndarray]:
    yield from _vectors(checkpoint.tensor(name)[None], params, order)


def _rotations(model: WholeModel, params: HwParams) -> Iterator[np.ndarray]:
    config = model.config
    for start in range(0, model.context, _ROWS_AT_ONCE):
        positions = torch.arange(start, min(start + _ROWS_AT_ONCE, model.context))
        table = angles_table(positions, config.head_dim, config.rope_theta, config.rope_scaling)
        yield from _vectors(torch.stack(table, dim=-1).flatten(1), params)


def _vectors(
    rows: torch.Tensor, params: HwParams, order: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield rows in Q15.16, their elements in an order, each padded to whole memory words."""
    padding = -rows.shape[1] % params.encode_lanes
    step = max(1, _FIXED_AT_ONCE // rows.shape[1])
    for start in range(0, len(rows), step):
        block = to_fixed(rows[start : start + step]).numpy()
        if order is not None:
            block = block[:, order]
        yield np.pad(block, ((0, 0), (0, padding))).astype("<i4", copy=False)
