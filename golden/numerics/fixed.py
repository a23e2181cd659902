"""Vector elements: saturating signed fixed point with 16 fraction bits (numerics, section 1)."""

import torch
from torch import Tensor

from hw.contract.params import FRACTION_BITS

__all__ = [
    "INT32_MAX",
    "INT32_MIN",
    "bit_length",
    "first_index",
    "from_fixed",
    "is_integer",
    "largest_magnitude",
    "round_half_away",
    "to_fixed",
]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def round_half_away(x: Tensor) -> Tensor:
    """Round floating-point values to integers, halves away from zero, in their own dtype."""
    whole = x.abs().floor()
    # Not floor(|x| + 1/2): that sum itself rounds, up to 1 for the largest value below 1/2.
    return torch.copysign(whole + (x.abs() - whole >= 0.5), x)


def to_fixed(x: Tensor) -> Tensor:
    """Convert real numbers to Q15.16, half away from zero and saturating.

    Parameters
    ----------
    x : Tensor
        Any shape, any floating-point dtype.

    Returns
    -------
    Tensor
        int32, in lsb of 2^-16.

    Raises
    ------
    ValueError
        Where a value is not a number, or the dtype is not floating point.
    """
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point, not {x.dtype}")
    if x.isnan().any():
        raise ValueError(f"x must be numbers, not NaN at {first_index(x.isnan())}")
    lsb = round_half_away(x.double() * (1 << FRACTION_BITS))  # a power of two: exact
    return lsb.clamp(INT32_MIN, INT32_MAX).to(torch.int32)


def from_fixed(x: Tensor) -> Tensor:
    """Convert Q15.16 integers to the real numbers they stand for, as exact float64."""
    return x.double() / (1 << FRACTION_BITS)


def is_integer(value: object) -> bool:
    """Whether `value` is a Python integer (a truth value is not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Index of the first element of `mask` that is set, as plain integers."""
    return tuple(int(i) for i in mask.nonzero()[0])


def bit_length(v: Tensor) -> Tensor:
    """Return the bits of positive integers below 2^62."""
    # A float64 may round v up to the next power of two, a bit too many: v tells.
    _, length = torch.frexp(v.double())
    length = length.long()
    return length - (v < (1 << (length - 1))).long()


def largest_magnitude(x: Tensor) -> int:
    """Return the largest magnitude of integers; 0 where there are none."""
    if x.numel() == 0:
        return 0
    low, high = x.aminmax()
    return max(-int(low), int(high))
