"""Weights as integer codes with one scale per output channel (numerics, section 4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from golden.console.errors import CheckpointError
from golden.numerics.fixed import first_index, round_half_away

__all__ = [
    "LARGEST_CODE",
    "QuantizedWeight",
    "Scaled",
    "dequantize",
    "power_of_two",
    "quantize_rows",
    "quantize_weight",
    "round_scale",
    "split_scale",
]

LARGEST_CODE = {8: 127, 4: 7, 2: 1}
"""Largest code magnitude by bits of a weight."""

_MIN_EXPONENT, _MAX_EXPONENT = 8, 71

# Clips that are tried, in percent of the channel's largest magnitude, largest first. Rounding
# costs K * scale^2 / 12, and clipping never less than one outlier's loss, so with codes up to q no
# clip below 1 / (1 + K / (12 * q^2)) can be best: at 8 bits 0.70 serves K up to 82,000.
_CLIPS = {8: range(100, 68, -2), 4: range(100, 8, -2), 2: range(100, 8, -2)}

_BLOCK_ELEMENTS = 1 << 18  # weights worked on at once


class Scaled(Protocol):
    """Output channels with a scale each: one accumulator unit is ``mantissa * 2^-exponent``."""

    @property
    def mantissa(self) -> Tensor:
        """int32, (N,)."""
        ...

    @property
    def exponent(self) -> Tensor:
        """int32, (N,)."""
        ...


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight matrix of N outputs and K inputs: w is about ``codes * mantissa * 2^-exponent``.

    Attributes
    ----------
    codes : Tensor
        int8, (N, K), in -127…127, -7…7 or -1…1.
    mantissa : Tensor
        int32, (N,), 2^15 to 2^16 - 1, or 0 for an all-zero channel.
    exponent : Tensor
        int32, (N,), 8 to 71.
    bits : int
        Bits of a code: 8, 4 or 2.
    """

    codes: Tensor
    mantissa: Tensor
    exponent: Tensor
    bits: int

    def rows(self, start: int, stop: int) -> "QuantizedWeight":
        """Return output channels `start` up to, not including, `stop`."""
        part = slice(start, stop)
        return QuantizedWeight(
            self.codes[part], self.mantissa[part], self.exponent[part], self.bits
        )


def quantize_weight(w: Tensor, bits: int, first_channel: int = 0) -> QuantizedWeight:
    """Quantize a weight matrix, each output channel with the clip that costs it least.

    Parameters
    ----------
    w : Tensor
        (N, K), any floating-point dtype, taken as float32.
    bits : int
        8, 4 or 2.
    first_channel : int
        Number of the first output channel, where `w` is a part of a matrix: for messages.

    Returns
    -------
    QuantizedWeight
        Of least squared error per channel over a grid of clips; of equal ones, the largest.

    Raises
    ------
    ValueError
        For other bits, another shape or dtype, a weight that is not finite (naming its channel),
        and a channel whose scale would be 256 or more.
    """
    if bits not in LARGEST_CODE:
        raise ValueError(f"bits must be 8, 4 or 2, not {bits!r}")
    if not w.is_floating_point() or w.dim() != 2 or w.shape[1] == 0:
        raise ValueError(
            f"w must be floating point of shape (outputs, inputs), not {w.dtype} of shape "
            f"{tuple(w.shape)}"
        )
    w = w.float()
    outputs, inputs = w.shape
    codes = torch.empty(w.shape, dtype=torch.int8)
    mantissa = torch.empty(outputs, dtype=torch.int32)
    exponent = torch.empty(outputs, dtype=torch.int32)
    for rows in _blocks(outputs, inputs):
        block = w[rows].contiguous()
        peak = _checked_peak(block, first_channel + rows.start, bits)
        scale = _found_scale(block, peak, bits)  # (rows,), float64
        mantissa[rows], exponent[rows] = split_scale(scale)
        _fill_codes(codes[rows], block, scale, bits)
    return QuantizedWeight(codes, mantissa, exponent, bits)


def quantize_rows(
    name: str, w: Tensor, bits: int, first_channel: int = 0, path: object = None
) -> QuantizedWeight:
    """Quantize rows of the matrix `name` of a checkpoint at `path`, if that is known.

    Other parameters are those of `quantize_weight`, and so are the errors, which also say where the
    weights are and what to do.
    """
    try:
        return quantize_weight(w, bits, first_channel)
    except ValueError as error:
        where = name if path is None else f"{path}: {name}"
        wider = "" if bits == max(LARGEST_CODE) else ", or choose a recipe of more bits"
        raise CheckpointError(
            f"{where}: {error}: the checkpoint may be damaged, get it again{wider}"
        ) from None


def dequantize(weight: QuantizedWeight) -> Tensor:
    """Return the real weights that the codes stand for: float64, (N, K), exact."""
    scale = weight.mantissa * power_of_two(-weight.exponent)
    return weight.codes * scale[:, None]


def _blocks(outputs: int, inputs: int) -> Iterator[slice]:
    step = max(1, _BLOCK_ELEMENTS // inputs)
    for start in range(0, outputs, step):
        yield slice(start, min(start + step, outputs))


def _checked_peak(block: Tensor, start: int, bits: int) -> Tensor:
    """Largest magnitude of each channel, float64; refuses what no scale can hold."""
    peak = block.abs().amax(dim=1)  # NaN and infinity come through
    if not peak.isfinite().all():
        channel = first_index(~peak.isfinite())[0]
        value = block[channel][~block[channel].isfinite()][0].item()
        raise ValueError(f"weights must be finite, not {value} in output channel {start + channel}")
    peak = peak.double()
    too_large = round_scale(peak / LARGEST_CODE[bits]) >= 256
    if too_large.any():
        channel = first_index(too_large)[0]
        raise ValueError(
            f"weights of {bits} bits must be below {256 * LARGEST_CODE[bits]} in magnitude, "
            f"not {peak[channel].item():g} in output channel {start + channel}"
        )
    return peak


def _found_scale(block: Tensor, peak: Tensor, bits: int) -> Tensor:
    """Return what `_best_scale` does: a compiled search, and itself where that is in doubt."""
    from golden.numerics.scale_search import (
        search,  # takes a second, which those who quantize nothing save
    )

    largest = LARGEST_CODE[bits]
    tried = torch.tensor([clip / 100 for clip in _CLIPS[bits]], dtype=torch.float64)
    scales = round_scale(peak[:, None] * tried / largest)  # (rows, clips)
    chosen = np.empty(len(block), np.int64)
    doubtful = np.empty(len(block), bool)
    search(block.numpy(), scales.float().numpy(), np.float32(largest), chosen, doubtful)
    scale = scales[torch.arange(len(block)), torch.from_numpy(chosen)]
    rows = torch.from_numpy(doubtful)
    if doubtful.any():
        scale[rows] = _best_scale(block[rows], peak[rows], bits)
    return scale


def _best_scale(block: Tensor, peak: Tensor, bits: int) -> Tensor:
    """Scale of least squared error of each channel, float64; 0 for an all-zero channel."""
    largest = LARGEST_CODE[bits]
    best_scale = torch.zeros_like(peak)
    best_error = torch.full_like(peak, torch.inf)
    for clip in _CLIPS[bits]:
        scale = round_scale(peak * (clip / 100) / largest)
        # The search may be in float32 with ties to even: both codes next to a tie cost the same.
        divisor = torch.where(scale > 0, scale, 1).float()[:, None]
        error = (block / divisor).round_().clamp_(-largest, largest).mul_(divisor).sub_(block)
        cost = error.square_().sum(dim=1, dtype=torch.float64)
        better = cost < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, cost, best_error)
    return best_scale


def round_scale(scale: Tensor) -> Tensor:
    """Round scales, half away, to a 16-bit mantissa and an exponent of at most 71; 0 stays 0."""
    _, binary_exponent = torch.frexp(scale)  # scale = m * 2^e with m in [1/2, 1)
    exponent = (16 - binary_exponent).clamp(max=_MAX_EXPONENT)
    mantissa = round_half_away(scale * power_of_two(exponent))
    # Below the smallest scale there is none but that one: a channel with weights must have one.
    mantissa = torch.where(scale > 0, mantissa.clamp(min=1 << 15), 0)
    return mantissa * power_of_two(-exponent)


def split_scale(scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mantissa and exponent, int32, of scales that `round_scale` has rounded."""
    _, binary_exponent = torch.frexp(scale)
    exponent = torch.where(scale > 0, 16 - binary_exponent, _MIN_EXPONENT)
    return (scale * power_of_two(exponent)).to(torch.int32), exponent.to(torch.int32)


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent as float64, made from its bits: a library's power may miss by the last one."""
    return ((exponent.long() + 1023) << 52).view(torch.float64)


def _fill_codes(codes: Tensor, block: Tensor, scale: Tensor, bits: int) -> None:
    """Fill in the codes of a block, int8, (rows, K): round_half_away(w / scale), clamped."""
    from golden.numerics.scale_search import codes as fill

    fill(block.numpy(), scale.numpy(), np.float64(LARGEST_CODE[bits]), codes.numpy())
