"""What one matrix costs on a batch of tokens (numerics, section 7)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.codings import encode
from golden.numerics.groups import Groups

__all__ = [
    "MatrixCost",
    "matrix_cost",
    "row_segment_bytes",
    "scale_bytes",
    "synaptic_operations",
]


@dataclass(frozen=True)
class MatrixCost:
    """Costs of one matrix on one batch of tokens.

    Attributes
    ----------
    silent_channels : int
        Input channels with no spike for any token.
    events : int
        Input channels that are fetched: all others.
    synaptic_operations : int
        Additions of one weight into one accumulator.
    weight_bytes : int
        Bytes of the row segments of the events, and of the scales of the groups that have some.
    dense_weight_bytes : int
        Bytes of the row segments of all channels.
    """

    silent_channels: int
    events: int
    synaptic_operations: int
    weight_bytes: int
    dense_weight_bytes: int


def matrix_cost(
    counts: Tensor,
    outputs: int,
    coding: str,
    time_steps: int,
    *,
    weight_width: int,
    tile_outputs: int,
    lanes: int,
    word_bytes: int,
    groups: Groups | None = None,
) -> MatrixCost:
    """Count what a matrix of `outputs` channels costs on a batch that shares its weights.

    Parameters
    ----------
    counts : Tensor
        int8 or int16, (tokens, K), the tokens of one pass through the array: counts times the
        weights of their spikes.
    outputs : int
        Output channels N.
    coding, time_steps
        How the counts become spikes (`golden.numerics.codings.encode`).
    weight_width : int
        Bits of a weight.
    tile_outputs, lanes, word_bytes : int
        Outputs of one tile, weights of one beat, bytes of one memory word.
    groups : Groups, optional
        Of the matrix's weights.
    """
    channels = counts.shape[1]
    fires = (counts != 0).any(dim=0)
    events = int(fires.sum())
    row_bytes = row_segment_bytes(outputs, weight_width, tile_outputs, lanes, word_bytes)
    scales = dense_scales = 0
    if groups is not None:
        bytes_ = scale_bytes(outputs, groups.bits, tile_outputs, word_bytes)
        scales = bytes_ * sum(int(part.any()) for part in fires.split(groups.size))
        dense_scales = bytes_ * -(-channels // groups.size)
    return MatrixCost(
        silent_channels=channels - events,
        events=events,
        synaptic_operations=synaptic_operations(counts, outputs, coding, time_steps),
        weight_bytes=events * row_bytes + scales,
        dense_weight_bytes=channels * row_bytes + dense_scales,
    )


def synaptic_operations(counts: Tensor, outputs: int, coding: str, time_steps: int) -> int:
    """Return `outputs` times the spikes of all tokens, channels and time steps."""
    return outputs * int(torch.count_nonzero(encode(counts, coding, time_steps)))


def scale_bytes(outputs: int, bits: int, tile_outputs: int, word_bytes: int) -> int:
    """Return the bytes of a group's scales in all tiles: so many bits an output, then whole words.

    Other parameters are `matrix_cost`'s.
    """
    return sum(
        -(-min(tile_outputs, outputs - start) * bits // (8 * word_bytes)) * word_bytes
        for start in range(0, outputs, tile_outputs)
    )


def row_segment_bytes(
    outputs: int, weight_width: int, tile_outputs: int, lanes: int, word_bytes: int
) -> int:
    """Return the bytes of all row segments of one channel: whole beats, then whole words, a tile.

    Parameters are `matrix_cost`'s.
    """
    total = 0
    for start in range(0, outputs, tile_outputs):
        beats = -(-min(tile_outputs, outputs - start) // lanes)
        total += -(-beats * lanes * weight_width // (8 * word_bytes)) * word_bytes
    return total
