"""Integer accumulation and requantization (numerics, sections 5 and 6)."""

import torch
from torch import Tensor

from golden.numerics.encoding import step_weights, zero_point
from golden.numerics.fixed import INT32_MAX, INT32_MIN
from golden.numerics.quant import QuantizedWeight
from hw.contract.params import THRESHOLD_FRACTION_BITS

__all__ = ["accumulate", "accumulate_spikes", "bit_length", "requantize"]

_EXACT_FLOAT32 = 1 << 24  # every integer up to here, and no smaller bound, is a float32


def accumulate(counts: Tensor, codes: Tensor) -> Tensor:
    """Multiply spike counts by weight codes, exactly.

    The products are summed in float32, in blocks of input channels so short that neither a sum
    nor any part of it can pass 2^24 in magnitude. All integers up to there are float32 numbers, so
    nothing is ever rounded, whatever the order of the additions, fused or not.

    Parameters
    ----------
    counts : Tensor
        int8, (tokens, K).
    codes : Tensor
        int8, (N, K).

    Returns
    -------
    Tensor
        int64, (tokens, N).
    """
    _check_operands(counts, codes, counts.dim() == 2)
    tokens, channels = counts.shape
    largest_product = max(1, _largest(counts) * _largest(codes))
    step = (_EXACT_FLOAT32 - 1) // largest_product
    total = torch.zeros(tokens, codes.shape[0], dtype=torch.int64)
    for start in range(0, channels, step):
        part = slice(start, start + step)
        total += (counts[:, part].float() @ codes[:, part].float().T).long()
    return total


def accumulate_spikes(spikes: Tensor, codes: Tensor, coding: str) -> Tensor:
    """Accumulate spike trains as the array does: time step by time step, by additions alone.

    Parameters
    ----------
    spikes : Tensor
        int8, (T, tokens, K), `golden.numerics.encoding.encode`'s result.
    codes : Tensor
        int8, (N, K).
    coding : str
        The coding of `spikes`. For `binary`, the zero point is subtracted once an output channel.

    Returns
    -------
    Tensor
        int64, (tokens, N), equal to `accumulate` of the counts.
    """
    _check_operands(spikes, codes, spikes.dim() == 3)
    columns = codes.long().T  # (K, N)
    time_steps, tokens, _ = spikes.shape
    total = torch.zeros(tokens, codes.shape[0], dtype=torch.int64)
    for weight, step in zip(step_weights(coding, time_steps), spikes, strict=True):
        for token in range(tokens):
            adds, subtracts = step[token] == 1, step[token] == -1  # (K,)
            total[token] += weight * columns[adds].sum(dim=0)  # the weight is a shift
            total[token] -= weight * columns[subtracts].sum(dim=0)
    return total - zero_point(coding, time_steps) * columns.sum(dim=0)


def requantize(y: Tensor, v: Tensor, weight: QuantizedWeight, bias: Tensor | None) -> Tensor:
    """Scale accumulators by threshold and weight scale, back into Q15.16.

    Parameters
    ----------
    y : Tensor
        Accumulators, int64, (tokens, N).
    v : Tensor
        Thresholds, `golden.numerics.neuron.threshold`'s result, int64, (tokens,).
    weight : QuantizedWeight
        Its N channels' scales are used.
    bias : Tensor or None
        Q15.16, int32, (N,).

    Returns
    -------
    Tensor
        Q15.16, int32, (tokens, N).

    Raises
    ------
    ValueError
        If an accumulator is 2^31 or more in magnitude: its product would not fit 63 bits.
    """
    if _largest(y) >= 1 << 31:
        raise ValueError(f"accumulators must be below 2^31 in magnitude, not {_largest(y)}")
    e = bit_length(v) - 16  # (tokens,)
    product = y * (v >> e)[:, None] * weight.mantissa  # (tokens, N)
    shift = THRESHOLD_FRACTION_BITS + weight.exponent - e[:, None]  # (tokens, N), -9 to 86

    # floor((|p| + 2^(sh-1)) / 2^sh) with its two divisions one after the other, since the sum might
    # not fit 63 bits. |p| < 2^63, so from 64 on every shift gives 0, as 64 does.
    halves = product.abs() >> (shift.clamp(1, 64) - 1)
    right = product.sign() * ((halves + 1) >> 1)
    # What a shift to the left of at most 9 makes of 2^31 or more saturates, as 2^31 itself does.
    left = product.clamp(-(1 << 31), 1 << 31) << (-shift).clamp(min=0)
    scaled = _saturate(torch.where(shift > 0, right, left))
    return (scaled if bias is None else _saturate(scaled + bias)).to(torch.int32)


def _saturate(x: Tensor) -> Tensor:
    return x.clamp(INT32_MIN, INT32_MAX)


def bit_length(v: Tensor) -> Tensor:
    """Return the bits of positive integers below 2^62."""
    # A float64 may round v up to the next power of two, a bit too many: v tells.
    _, length = torch.frexp(v.double())
    length = length.long()
    return length - (v < (1 << (length - 1))).long()


def _largest(x: Tensor) -> int:
    if x.numel() == 0:
        return 0
    low, high = x.aminmax()
    return max(-int(low), int(high))


def _check_operands(left: Tensor, codes: Tensor, shaped: bool) -> None:
    if left.dtype != torch.int8 or codes.dtype != torch.int8:
        raise ValueError(f"counts and codes must be int8, not {left.dtype} and {codes.dtype}")
    if not shaped or codes.dim() != 2 or left.shape[-1] != codes.shape[1]:
        raise ValueError(
            "counts (tokens, K) and codes (N, K) must have K channels each, not shapes "
            f"{tuple(left.shape)} and {tuple(codes.shape)}"
        )
