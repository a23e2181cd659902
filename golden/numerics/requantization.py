"""From accumulators back to vector elements (numerics, section 6)."""

import torch
from torch import Tensor

from golden.numerics.fixed import INT32_MAX, INT32_MIN, bit_length, largest_magnitude
from golden.numerics.weights import QuantizedWeight
from hw.contract.params import THRESHOLD_FRACTION_BITS

__all__ = ["requantize"]


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
    if largest_magnitude(y) >= 1 << 31:
        raise ValueError(
            f"accumulators must be below 2^31 in magnitude, not {largest_magnitude(y)}"
        )
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
