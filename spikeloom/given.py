"""What a caller gives, held against what it has to be: a sentence where it is not that."""

from numbers import Integral, Real

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from golden.numerics.fixed import first_index

__all__ = ["real", "vectors", "whole"]


def whole(name: str, value: object) -> int:
    """Return a whole number; raises ValueError where `value` is none."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(value)


def real(name: str, value: object) -> float:
    """Return a real number; raises ValueError where `value` is none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)


def vectors(name: str, x: ArrayLike | Tensor) -> Tensor:
    """Return finite real numbers as float64, of the shape they have; raises ValueError."""
    try:
        found = torch.as_tensor(x).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be an array of numbers, not {type(x).__name__}") from None
    if found.is_complex():
        raise ValueError(f"{name} must be real numbers, not complex ones")
    found = found.double()
    if not (finite := found.isfinite()).all():
        index = first_index(~finite)
        said = "NaN" if found[index].isnan() else "infinity"
        raise ValueError(f"{name} must be finite numbers, not {said} at {index}")
    return found
