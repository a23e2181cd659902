"""What happens between the matrices, on Q15.16 vectors (numerics, section 8)."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from golden.numerics.fixed import INT32_MAX, INT32_MIN

__all__ = [
    "add",
    "argmax",
    "exponential",
    "norm_epsilon",
    "rms_norm",
    "rotate",
    "softmax",
    "softmax_multiplier",
    "swiglu",
]


def add(a: Tensor, b: Tensor) -> Tensor:
    """Return a + b, saturating; all int32 of one shape."""
    return _sat32(a.long() + b)


def argmax(x: Tensor) -> Tensor:
    """Return the smallest index of a largest element of each row, int64, (rows,)."""
    largest = x == x.amax(dim=-1, keepdim=True)
    index = torch.arange(x.shape[-1])
    return torch.where(largest, index, x.shape[-1]).amin(dim=-1)


def norm_epsilon(norm_eps: float) -> int:
    """Return E, what RMSNorm adds to the mean square, in lsb^2 (units of 2^-32); at least 1."""
    return max(1, math.floor(Fraction(norm_eps) * (1 << 32) + Fraction(1, 2)))


def rms_norm(x: Tensor, gain: Tensor, epsilon: int) -> Tensor:
    """Return x / sqrt(mean(x^2) + E 2^-32) * gain over the last dimension.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (..., K).
    gain : Tensor
        Q15.16, int32, (K,).
    epsilon : int
        E, `norm_epsilon`'s result, 1 to 2^32.

    Returns
    -------
    Tensor
        Q15.16, int32, of the shape of `x`.
    """
    x, channels = x.long(), x.shape[-1]
    # The sum of squares may pass 63 bits: it is kept in two digits, and so divided.
    square = x * x  # up to 2^62
    high, low = (square >> 31).sum(dim=-1), (square & ((1 << 31) - 1)).sum(dim=-1)
    mean = (high // channels << 31) + ((high % channels << 31) + low) // channels
    roots = [_inverse_root(m) for m in (mean + epsilon).flatten().tolist()]
    g, s = torch.tensor(roots, dtype=torch.int64).view(*mean.shape, 2, 1).unbind(-2)  # (..., 1)
    normed = _sat32(_rnd(x * g, 32 - s))
    return _sat32(_rnd(normed.long() * gain, 16))


def _inverse_root(m: int) -> tuple[int, int]:
    """Return G and s: 1 / sqrt(m) is about G * 2^(s - 48), with G of 17 bits."""
    s = (64 - m.bit_length()) // 2
    return (1 << 48) // math.isqrt(m << 2 * s), s


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """Turn the pairs of each head by the angles of its token.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, heads, head_dim).
    cos, sin : Tensor
        Q15.16, int32, (tokens, head_dim / 2).
    interleaved : bool
        Whether pairs are neighbours, as on a device, or lie half a head apart: the same numbers
        in another order (`golden.checkpoint.rope.pair_order`).

    Returns
    -------
    Tensor
        Q15.16, int32, of the shape of `x`.
    """
    cos, sin = cos[:, None].long(), sin[:, None].long()  # the same for every head
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)
    y = _sat32(_rnd(a * cos - b * sin, 16)), _sat32(_rnd(a * sin + b * cos, 16))
    return torch.stack(y, dim=-1).flatten(-2) if interleaved else torch.cat(y, dim=-1)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Return gate * sigmoid(gate) * up; all Q15.16, int32, of one shape."""
    g = gate.long()
    a = g.abs()
    i, f = (a >> 11).clamp(max=511), a & 2047
    s = _SIGMOID[i] + ((_SIGMOID[i + 1] - _SIGMOID[i]) * f >> 11)  # sigmoid(|g|)
    s = torch.where(a < 1 << 20, s, 1 << 22)
    h = _rnd(g * torch.where(g < 0, (1 << 22) - s, s), 22)
    return _sat32(_rnd(h * up, 16))  # up to 2^62


def softmax_multiplier(head_dim: int) -> int:
    """Return mu, log2(e) / sqrt(head_dim) with 24 fraction bits."""
    return math.floor(math.log2(math.e) / math.sqrt(head_dim) * (1 << 24) + 0.5)


def exponential(distance: Tensor, mu: int) -> Tensor:
    """Return E, e^-(distance / sqrt(head_dim)) with 24 fraction bits, int64.

    Parameters
    ----------
    distance : Tensor
        How far scores lie below the largest, in lsb, int64, 0 to 2^32 - 1.
    mu : int
        `softmax_multiplier`'s result.
    """
    t = _rnd(distance * mu, 24)  # binary exponents, 16 fraction bits
    j, i, f = t >> 16, t >> 8 & 255, t & 255
    x = _POWER[i]
    return x - ((x - _POWER[i + 1]) * f >> 8) >> j.clamp(max=25)  # 25 places leave nothing


def softmax(scores: Tensor, seen: Tensor, mantissa: Tensor, exponent: Tensor, mu: int) -> Tensor:
    """Return each position's probability times the scale of its value row.

    Parameters
    ----------
    scores : Tensor
        Q15.16, int32, (..., P).
    seen : Tensor
        Which positions each row sees, at least one, bool, of a shape that goes with `scores`; the
        others are as if they were not there, and get 0.
    mantissa, exponent : Tensor
        Scale words of the value rows, of a shape that goes with `scores`.
    mu : int
        `softmax_multiplier`'s result.

    Returns
    -------
    Tensor
        w: probability * mantissa * 2^(12 - exponent) in Q15.16, int32, (..., P).
    """
    largest = scores.masked_fill(~seen, INT32_MIN).amax(dim=-1, keepdim=True)
    distance = (largest.long() - scores).clamp(min=0)  # negative only where not seen
    e = exponential(distance, mu).masked_fill(~seen, 0)
    z = e.sum(dim=-1, keepdim=True)  # 2^24 to P * 2^24
    shift = torch.tensor([v.bit_length() for v in z.flatten().tolist()]).view(z.shape) - 17
    r = (1 << 33) // (z >> shift)  # 2^16 to 2^17
    q = _rnd(e * r, 9 + shift)  # probabilities, 24 fraction bits
    s = exponent.long() - 4
    return _sat32(_rnd((q * mantissa) << (1 - s).clamp(min=0), s.clamp(1, 62)))


def _rnd(p: Tensor, shift: Tensor | int) -> Tensor:
    """Divide by 2^shift, halves away from zero, for |p| up to 2^62 and shifts from 1 to 62."""
    half = 1 << shift - 1 if isinstance(shift, int) else torch.ones_like(shift) << shift - 1
    return p + (p >> 63) + half >> shift  # of a negative one, 1 less: its half goes down


def _sat32(x: Tensor) -> Tensor:
    return x.clamp(INT32_MIN, INT32_MAX).to(torch.int32)


def _table(function, steps: int, fraction_bits: int) -> Tensor:
    """Values 0 to `steps` of a positive function, rounded half away to `fraction_bits`."""
    values = [math.floor(function(i) * (1 << fraction_bits) + 0.5) for i in range(steps + 1)]
    return torch.tensor(values)


_SIGMOID = _table(lambda i: 1 / (1 + math.exp(-i / 32)), 512, 22)
_POWER = _table(lambda i: 2 ** (-i / 256), 256, 24)
