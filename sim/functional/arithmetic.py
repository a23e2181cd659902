"""docs/numerics.md in NumPy, for the functional device; it shares no line with golden.

Vectors are int32 (Q15.16); everything between is int64, whose 63 bits hold every quantity below, or
Python's integers where they would not.
"""

import numpy as np
from numpy.typing import ArrayLike

from hw.contract.isa import SCALE, Coding, Rule
from hw.contract.params import (
    EXPONENT_WIDTH,
    FRACTION_BITS,
    THRESHOLD_FRACTION_BITS,
    THRESHOLD_GROUP,
    VECTOR_WIDTH,
)

__all__ = [
    "accumulate",
    "fire",
    "fired_groups",
    "levels",
    "requantize",
    "saturate",
    "scale_word",
    "spikes",
    "threshold",
    "unpack_exponents",
    "unpack_scales",
    "unpack_weights",
]

_CLIP_FRACTION_BITS = 8
_MANTISSA_WIDTH = 16
_LARGEST_COUNT = 127
_THRESHOLD_END = 1 << (VECTOR_WIDTH + THRESHOLD_FRACTION_BITS)


def threshold(
    x: np.ndarray, rule: Rule, multiplier: int, divisor: int, peak: int, shifts: int = 0
) -> int:
    """Return V of one token's vector, (channels,) in int32 (section 2)."""
    fraction = THRESHOLD_FRACTION_BITS - _CLIP_FRACTION_BITS
    quotient = (_potential(x, rule, peak) * multiplier << fraction) // (divisor << shifts)
    return min(max(quotient, 1 << THRESHOLD_FRACTION_BITS - shifts), _THRESHOLD_END - 1)


def levels(x: np.ndarray, rule: Rule, peak: int, shifts: int) -> np.ndarray:
    """Return s of each channel's group (section 2): (channels,) in int64."""
    starts = np.arange(0, len(x), THRESHOLD_GROUP)
    loudest = np.maximum.reduceat(np.abs(x.astype(np.int64)), starts)
    found = np.zeros(len(starts), np.int64)
    for s in range(1, shifts + 1):  # s is needed where the one below is not enough
        found[(loudest << (shifts - s + 1)) > _potential(x, rule, peak)] = s
    return np.repeat(found, THRESHOLD_GROUP)[: len(x)]


def unpack_exponents(words: np.ndarray, channels: int, largest: int) -> np.ndarray:
    """Return the exponents in bytes of memory, none above `largest`: (channels,) in int64."""
    places = np.arange(0, 8, EXPONENT_WIDTH, dtype=np.uint8)
    fields = words[:, None] >> places & (1 << EXPONENT_WIDTH) - 1
    return np.minimum(fields.reshape(-1)[:channels], largest).astype(np.int64)


def _potential(x: np.ndarray, rule: Rule, peak: int) -> int:
    magnitudes = np.abs(x.astype(np.int64))
    return {
        Rule.ABSMAX: lambda: int(magnitudes.max()),
        Rule.MEAN: lambda: int(magnitudes.sum()),
        Rule.STATIC: lambda: peak,
    }[rule]()


def fire(x: np.ndarray, v: int | np.ndarray, max_count: int, dead_zone: int) -> np.ndarray:
    """Return the counts of one token's vector under thresholds `v`: (channels,) in int64."""
    magnitudes = np.abs(x.astype(np.int64))
    counts = ((magnitudes << (THRESHOLD_FRACTION_BITS + 1)) + v) // (2 * v)
    counts = np.where(magnitudes < dead_zone, 0, np.minimum(counts, max_count))
    return np.where(x < 0, -counts, counts)


def spikes(counts: np.ndarray, coding: Coding) -> int:
    """Return how many nonzero steps the trains of all spike sums have together (section 3)."""
    magnitudes = np.abs(counts)
    if coding is Coding.UNARY:
        return int(magnitudes.sum())
    if coding is Coding.CSD:
        # n and 3n differ exactly where the non-adjacent form of n has a digit, one place higher.
        magnitudes = magnitudes ^ (3 * magnitudes)
    return int(np.bitwise_count(magnitudes).sum())


def unpack_weights(segments: np.ndarray, width: int, outputs: int) -> np.ndarray:
    """Return the codes in row segments.

    Parameters
    ----------
    segments : ndarray of uint8
        (channels, bytes of a row segment).
    width : int
        Bits of a code, two's complement.
    outputs : int
        Codes of each segment that count.

    Returns
    -------
    ndarray of int32
        (channels, outputs).
    """
    if width == 8:
        return segments[:, :outputs].view(np.int8).astype(np.int32)
    # Shift each code to the top of a byte of its own, and back down with its sign.
    ups = np.arange(8 - width, -1, -width, dtype=np.uint8)
    fields = (segments[:, :, None] << ups).view(np.int8) >> (8 - width)
    return fields.reshape(len(segments), segments.shape[1] * len(ups))[:, :outputs].astype(np.int32)


def unpack_scales(
    raw: np.ndarray, width: int, has_offsets: bool, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return d, and z or m or zeros, of a group's scales in memory: (outputs,) in int64 both."""
    if not has_offsets:
        d = raw.view(f"<i{width // 8}")[:outputs].astype(np.int64)
        return d, np.zeros_like(d)
    pairs = raw.reshape(-1, width // 4)[:outputs]
    halves = np.ascontiguousarray(pairs).view(f"<u{width // 8}").astype(np.int64)
    d, offsets = halves[:, 0], halves[:, 1]
    return d, offsets - ((offsets >> width - 1) << width)


def fired_groups(fires: ArrayLike, size: int) -> int:
    """Return how many groups of `size` channels have one that fires, of (channels,) booleans."""
    each = np.asarray(fires)
    return int(np.logical_or.reduceat(each, np.arange(0, len(each), size)).sum())


def accumulate(counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return Y (section 5): (tokens, outputs) in int64.

    `counts` are (tokens, channels) and `codes` (channels, outputs). It is summed in 32 bits, which
    hold 127 * 128 * 2^15, and in 64 where spikes weigh more.
    """
    wide = np.int64 if np.abs(counts).max(initial=0) > _LARGEST_COUNT else np.int32
    return (counts.astype(wide) @ codes.astype(wide)).astype(np.int64)


def requantize(
    y: np.ndarray, v: int, mantissa: np.ndarray, exponent: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Return one token's outputs in int32 (section 6).

    Parameters
    ----------
    y : ndarray of int64
        Accumulators, (outputs,).
    v : int
        The token's threshold.
    mantissa, exponent, bias : ndarray of int64
        Of each output channel, (outputs,); a bias of 0 where the matrix has none.
    """
    e = v.bit_length() - _MANTISSA_WIDTH
    shift = THRESHOLD_FRACTION_BITS + exponent - e
    if np.abs(y).max(initial=0) < 1 << 31:
        product = y * (v >> e) * mantissa
        magnitude = np.abs(product)
        # |product| is below 2^63, so a shift of 64 leaves nothing, as longer ones do; the half is
        # added after all places but one, lest it goes beyond.
        rounded = (magnitude >> np.clip(shift - 1, 0, 63)) + 1 >> 1
        # A shift up loses nothing to this clip that saturation would not take.
        grown = np.minimum(magnitude, 1 << VECTOR_WIDTH) << np.clip(-shift, 0, VECTOR_WIDTH - 2)
        scaled = saturate(np.sign(product) * np.where(shift > 0, rounded, grown))
    else:  # sums over groups: what has no place in 63 bits, Python has
        scaled = np.array(
            [
                _scaled(int(one) * (v >> e) * int(by), int(places))
                for one, by, places in zip(y, mantissa, shift, strict=True)
            ],
            np.int64,
        )
    return saturate(scaled + bias).astype(np.int32)


def _scaled(product: int, shift: int) -> int:
    """Return product / 2^shift, half away from zero, saturated: of Python's integers."""
    limit = 1 << VECTOR_WIDTH - 1
    if shift <= 0:
        return min(max(product << -shift, -limit), limit - 1)
    magnitude = abs(product) + (1 << shift - 1) >> shift
    return min(magnitude, limit - 1) if product > 0 else -min(magnitude, limit)


def scale_word(v: int) -> int:
    """Return the scale word of a row encoded with threshold `v` (section 9)."""
    e = v.bit_length() - _MANTISSA_WIDTH
    exponent = THRESHOLD_FRACTION_BITS + FRACTION_BITS - e
    return v >> e << SCALE["mantissa"].offset | exponent << SCALE["exponent"].offset


def saturate(x: np.ndarray) -> np.ndarray:
    """Clamp integers to the range of a vector element."""
    limit = 1 << (VECTOR_WIDTH - 1)
    return np.clip(x, -limit, limit - 1)
