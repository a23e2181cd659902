"""From spike counts to spike trains and back: the codings (numerics, section 3)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.fixed import first_index, is_integer
from golden.numerics.neuron import MAX_COUNT

__all__ = [
    "CODINGS",
    "decode",
    "encode",
    "step_weights",
    "time_steps_for",
    "zero_point",
]

_INTEGERS = frozenset(
    {torch.int8, torch.int16, torch.int32, torch.int64}
    | {torch.uint8, torch.uint16, torch.uint32, torch.uint64}
)


def _unary(n: Tensor, time_steps: int) -> list[Tensor]:
    return [n.sign() * (n.abs() > t) for t in range(time_steps)]


def _bitwise(n: Tensor, time_steps: int) -> list[Tensor]:
    return [n.sign() * (n.abs() >> t & 1) for t in range(time_steps)]


def _csd(n: Tensor, time_steps: int) -> list[Tensor]:
    digits = []
    for _ in range(time_steps):
        # An odd rest takes the digit that makes what remains divisible by 4: the next one is 0.
        digit = (n & 1) * (2 - (n & 3))
        digits.append(digit)
        n = (n - digit) >> 1
    return digits


def _binary(n: Tensor, time_steps: int) -> list[Tensor]:
    return [n + (1 << time_steps - 1) >> t & 1 for t in range(time_steps)]


@dataclass(frozen=True)
class _Coding:
    """A coding: its digits, the counts that T of its steps can hold, and the T that D needs."""

    digits: Callable[[Tensor, int], list[Tensor]]
    bounds: Callable[[int], tuple[int, int]]
    time_steps: Callable[[int], int]
    max_time_steps: int
    positional: bool
    alphabet: tuple[int, ...]


def _symmetric(high: int) -> tuple[int, int]:
    return -high, high


# Counts are worked on in 64 bits, which bounds the positional codings to 62 steps.
_CODINGS = {
    "unary": _Coding(_unary, _symmetric, lambda d: d, 32767, False, (-1, 0, 1)),
    "bitwise": _Coding(
        _bitwise, lambda t: _symmetric((1 << t) - 1), int.bit_length, 62, True, (-1, 0, 1)
    ),
    # The largest value of T non-adjacent digits is 1010...: two thirds of 2^T.
    "csd": _Coding(
        _csd,
        lambda t: _symmetric((1 << t + 1) // 3),
        lambda d: d.bit_length() + 1,
        62,
        True,
        (-1, 0, 1),
    ),
    "binary": _Coding(
        _binary,
        lambda t: (-(1 << t - 1), (1 << t - 1) - 1),
        lambda d: d.bit_length() + 1,
        62,
        True,
        (0, 1),
    ),
}

CODINGS = tuple(_CODINGS)
"""The names of the codings; `binary` is the paper's baseline and lives in golden only."""


def time_steps_for(max_count: int, coding: str, shift: int = 0) -> int:
    """Return the time steps T that counts in [-max_count, max_count], times 2^shift, need.

    Raises
    ------
    ValueError
        For an unknown coding, or a `max_count` that is not an integer from 1 to 127.
    """
    row = _coding(coding)
    if not is_integer(max_count) or not 1 <= max_count <= MAX_COUNT:
        raise ValueError(f"max_count must be an integer from 1 to {MAX_COUNT}, not {max_count!r}")
    return row.time_steps(max_count << shift)


def step_weights(coding: str, time_steps: int) -> Tensor:
    """Return what a spike of each time step is worth: int64, (time_steps,)."""
    row = _coding_of(coding, time_steps)
    steps = torch.arange(time_steps)
    return 1 << steps if row.positional else torch.ones_like(steps)


def zero_point(coding: str, time_steps: int) -> int:
    """Return what a spike train is worth more than its count: 2^(T-1) for binary, else 0."""
    _coding_of(coding, time_steps)
    return 1 << time_steps - 1 if coding == "binary" else 0


def encode(counts: Tensor, coding: str, time_steps: int) -> Tensor:
    """Expand signed spike counts into spike trains.

    Parameters
    ----------
    counts : Tensor
        Any integer dtype, any shape.
    coding : str
        One of `CODINGS`.
    time_steps : int
        Steps T; step 0 is the least significant (unary: the first spike).

    Returns
    -------
    Tensor
        int8 in {-1, 0, 1}, (T, *counts.shape).

    Raises
    ------
    ValueError
        For an unknown coding, a bad `time_steps`, a dtype that is not an integer's, and a count
        that T steps of the coding cannot hold.
    """
    row = _coding_of(coding, time_steps)
    counts = _integers("counts", counts)
    low, high = row.bounds(time_steps)
    _refuse_outside("a count", counts, low, high, f" ({coding}, {time_steps} time steps)")
    return torch.stack(row.digits(counts, time_steps)).to(torch.int8)


def decode(spikes: Tensor, coding: str) -> Tensor:
    """Add spike trains up to the counts they stand for.

    Parameters
    ----------
    spikes : Tensor
        Any integer dtype, (T, ...), in the coding's alphabet.
    coding : str
        One of `CODINGS`.

    Returns
    -------
    Tensor
        int64, of `spikes`' shape without its first dimension.

    Raises
    ------
    ValueError
        For an unknown coding, no time step, a dtype that is not an integer's, and a value outside
        the alphabet.
    """
    row = _coding(coding)
    spikes = _integers("spikes", spikes)
    if spikes.dim() == 0:
        raise ValueError("spikes must have time steps as their first dimension, not be a scalar")
    time_steps = spikes.shape[0]
    _coding_of(coding, time_steps)
    _refuse_outside("a spike", spikes, row.alphabet[0], row.alphabet[-1], f" ({coding})")
    weights = step_weights(coding, time_steps).reshape(-1, *[1] * (spikes.dim() - 1))
    return (weights * spikes).sum(dim=0) - zero_point(coding, time_steps)


def _coding(coding: str) -> _Coding:
    if not isinstance(coding, str) or coding not in _CODINGS:
        raise ValueError(f"coding must be one of {', '.join(_CODINGS)}, not {coding!r}")
    return _CODINGS[coding]


def _coding_of(coding: str, time_steps: int) -> _Coding:
    """Look a coding up, and check that `time_steps` is a number of its steps."""
    row = _coding(coding)
    if not is_integer(time_steps) or not 1 <= time_steps <= row.max_time_steps:
        raise ValueError(
            f"time_steps must be an integer from 1 to {row.max_time_steps}, not {time_steps!r}"
        )
    return row


def _integers(name: str, values: Tensor) -> Tensor:
    """Check an integer dtype and widen to int64; raises ValueError naming what is wrong."""
    try:
        values = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be a tensor of integers, not {values!r}") from None
    if values.dtype not in _INTEGERS:
        example = f" ({values.flatten()[0].item()})" if values.numel() else ""
        raise ValueError(f"{name} must be of an integer dtype, not {values.dtype}{example}")
    wide = values.to(torch.int64)
    if values.dtype == torch.uint64 and (wide < 0).any():
        huge = wide[wide < 0][0].item() + (1 << 64)
        raise ValueError(f"{name} must fit 64 bits with their sign, not be {huge}")
    return wide


def _refuse_outside(what: str, values: Tensor, low: int, high: int, where: str) -> None:
    outside = (values < low) | (values > high)
    if outside.any():
        at = first_index(outside)
        value = values[at].item()
        raise ValueError(f"{what} must be from {low} to {high}{where}, not {value} at {at}")
