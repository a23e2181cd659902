"""What one matrix costs on a batch of tokens (numerics, section 7)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.codings import encode

__all__ = ["MatrixCost", "matrix_cost", "row_segment_bytes", "synaptic_operations"]


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
        Bytes of the row segments of the events.
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
    """
    channels = counts.shape[1]
    events = int((counts != 0).any(dim=0).sum())
    row_bytes = row_segment_bytes(outputs, weight_width, tile_outputs, lanes, word_bytes)
    return MatrixCost(
        silent_channels=channels - events,
        events=events,
        synaptic_operations=synaptic_operations(counts, outputs, coding, time_steps),
        weight_bytes=events * row_bytes,
        dense_weight_bytes=channels * row_bytes,
    )


def synaptic_operations(counts: Tensor, outputs: int, coding: str, time_steps: int) -> int:
    """Return `outputs` times the spikes of all tokens, channels and time steps."""
    return outputs * int(torch.count_nonzero(encode(counts, coding, time_steps)))


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
