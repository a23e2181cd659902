"""From accumulators back to vector elements (numerics, section 6)."""

import torch
from torch import Tensor

from golden.numerics.fixed import INT32_MAX, INT32_MIN, bit_length, largest_magnitude
from golden.numerics.weights import Scaled
from hw.contract.params import SUM_WIDTH, THRESHOLD_FRACTION_BITS

__all__ = ["ACCUMULATOR_BITS", "requantize"]

ACCUMULATOR_BITS = SUM_WIDTH - 1
"""Bits of an accumulator's magnitude: it is below 2^47."""

_LOW_BITS = 24
_LOW = (1 << _LOW_BITS) - 1


def requantize(y: Tensor, v: Tensor, weight: Scaled, bias: Tensor | None) -> Tensor:
    """Scale accumulators by threshold and weight scale, back into Q15.16.

    Parameters
    ----------
    y : Tensor
        Accumulators, int64, (tokens, N).
    v : Tensor
        Thresholds, `golden.numerics.neuron.threshold`'s result, int64, (tokens,).
    weight : QuantizedWeight or GroupedWeight
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
        If an accumulator is 2^47 or more in magnitude.
    """
    if largest_magnitude(y) >= 1 << ACCUMULATOR_BITS:
        raise ValueError(
            f"accumulators must be below 2^{ACCUMULATOR_BITS} in magnitude, "
            f"not {largest_magnitude(y)}"
        )
    e = bit_length(v) - 16  # (tokens,)
    factor = (v >> e)[:, None] * weight.mantissa  # (tokens, N), below 2^32
    shift = THRESHOLD_FRACTION_BITS + weight.exponent - e[:, None]  # (tokens, N), -9 to 89

    # The product has up to 79 bits: |p| = high * 2^24 + low.
    low = (y.abs() & _LOW) * factor  # below 2^56
    high = (y.abs() >> _LOW_BITS) * factor + (low >> _LOW_BITS)  # below 2^56
    low = low & _LOW

    # floor((|p| + 2^(sh-1)) / 2^sh) = (floor(|p| / 2^(sh-1)) + 1) >> 1. What is left of |p| after
    # sh - 1 places, saturated at 2^33; from 81 places on nothing is.
    places = shift.clamp(1, 81) - 1
    by_high = high >> (places - _LOW_BITS).clamp(0, 63)
    by_both = (high.clamp(max=1 << 33) << (_LOW_BITS - places).clamp(min=0)) + (
        low >> places.clamp(max=_LOW_BITS)
    )
    halves = torch.where(places >= _LOW_BITS, by_high, by_both).clamp(max=1 << 33)
    right = (halves + 1) >> 1
    # What a shift to the left of at most 9 makes of 2^31 or more saturates, as 2^31 itself does.
    whole = ((high.clamp(max=1 << 33) << _LOW_BITS) + low).clamp(max=1 << 31)
    left = whole << (-shift).clamp(min=0)
    scaled = _saturate(y.sign() * torch.where(shift > 0, right, left))
    return (scaled if bias is None else _saturate(scaled + bias)).to(torch.int32)


def _saturate(x: Tensor) -> Tensor:
    return x.clamp(INT32_MIN, INT32_MAX)
