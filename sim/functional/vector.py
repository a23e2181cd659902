"""docs/numerics.md, section 8, in NumPy, for the functional device; it shares no line with golden.

Rows are int32 (Q15.16). Products that may leave int64 are Python's integers.
"""

import math

import numpy as np

from hw.contract.isa import VectorOp
from hw.contract.params import FRACTION_BITS
from sim.functional.arithmetic import saturate

__all__ = ["argmax", "operate", "rounded", "shifts"]

_SIGMOID_FRACTION_BITS = 22
_SIGMOID_STEP_LOG2 = 11  # 1 / 32 in lsb
_SIGMOID = np.array(  # T
    [math.floor((1 << 22) / (1 + math.exp(-i / 32)) + 0.5) for i in range(513)], np.int64
)
_POWER_FRACTION_BITS = 24
_RECIPROCAL_BITS = 17
_POWER = np.array([math.floor(2.0 ** (24 - i / 256) + 0.5) for i in range(257)], np.int64)  # X


def operate(operation: VectorOp, x: np.ndarray, z: np.ndarray | None, constant: int) -> np.ndarray:
    """Return a row of VECTOR's result, (elements,) in int32; not that of ARGMAX.

    Parameters
    ----------
    operation : VectorOp
        What is done.
    x, z : ndarray of int32
        A row of `a`, and one of `b` where the operation reads it, (elements,).
    constant : int
        E for NORM, mu for SOFTMAX.
    """
    if operation is VectorOp.COPY:
        return x.copy()
    if z is None:
        raise ValueError(f"{operation.name} needs a row of b")
    if operation is VectorOp.ADD:
        return _as_vector(x.astype(np.int64) + z)
    if operation is VectorOp.NORM:
        return _norm(x, z, constant)
    if operation is VectorOp.ROTATE:
        return _rotate(x, z)
    if operation is VectorOp.SWIGLU:
        return _swiglu(x, z)
    if operation is VectorOp.SOFTMAX:
        return _softmax(x, z.view(np.uint32), constant)
    raise ValueError(f"{operation.name} makes no row here")


def shifts(operation: VectorOp, x: np.ndarray, constant: int) -> int:
    """Return how often a row's number is shifted until it fits, two places or one at a time.

    The number is NORM's mean square, s of section 8, or SOFTMAX's sum, z; others have none.
    """
    if operation is VectorOp.NORM:
        return _normalizing(_mean(x, constant))
    if operation is VectorOp.SOFTMAX:
        return int(_powers(x, constant).sum()).bit_length() - _RECIPROCAL_BITS
    return 0


def argmax(x: np.ndarray) -> int:
    """Return the smallest index of a largest element."""
    return int(x.argmax())


def rounded(p: np.ndarray, shift: int | np.ndarray) -> np.ndarray:
    """Return p / 2^shift, halves away from zero, of int64 below 2^62 and shifts of 1 to 62."""
    magnitude = np.abs(p)
    return np.sign(p) * (magnitude + (np.int64(1) << (shift - 1)) >> shift)


def _as_vector(x: np.ndarray) -> np.ndarray:
    return saturate(x).astype(np.int32)


def _mean(x: np.ndarray, epsilon: int) -> int:
    return sum(v * v for v in x.tolist()) // len(x) + epsilon


def _normalizing(mean: int) -> int:
    s = 0
    while mean << 2 * (s + 1) < 1 << 64:
        s += 1
    return s


def _norm(x: np.ndarray, gains: np.ndarray, epsilon: int) -> np.ndarray:
    mean = _mean(x, epsilon)
    s = _normalizing(mean)
    factor = (1 << 48) // math.isqrt(mean << 2 * s)
    normalized = saturate(rounded(x.astype(np.int64) * factor, 32 - s))
    return _as_vector(rounded(normalized * gains, FRACTION_BITS))


def _rotate(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn the pairs of a row; `angles` are cosine and sine of each."""
    a, b, c, s = (part.astype(object) for part in (x[::2], x[1::2], angles[::2], angles[1::2]))
    turned = np.stack((a * c - b * s, a * s + b * c), axis=-1).reshape(-1)
    half = 1 << (FRACTION_BITS - 1)
    magnitude = (np.abs(turned) + half) >> FRACTION_BITS
    return _as_vector(np.where(turned < 0, -magnitude, magnitude)).astype(np.int32)


def _swiglu(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    g = gate.astype(np.int64)
    magnitude = np.abs(g)
    step = np.minimum(magnitude >> _SIGMOID_STEP_LOG2, len(_SIGMOID) - 2)
    fraction = magnitude & (1 << _SIGMOID_STEP_LOG2) - 1
    rise = (_SIGMOID[step + 1] - _SIGMOID[step]) * fraction >> _SIGMOID_STEP_LOG2
    one = 1 << _SIGMOID_FRACTION_BITS
    sigmoid = np.where(magnitude < 1 << 20, _SIGMOID[step] + rise, one)
    gated = rounded(g * np.where(g < 0, one - sigmoid, sigmoid), _SIGMOID_FRACTION_BITS)
    return _as_vector(rounded(gated * up, FRACTION_BITS))


def _powers(scores: np.ndarray, steepness: int) -> np.ndarray:
    """Return each score's power of two, with 24 fraction bits."""
    s = scores.astype(np.int64)
    below = (s.max() - s).astype(np.uint64) * np.uint64(steepness)  # 32 bits times 32 bits
    t = (below + np.uint64(1 << 23) >> np.uint64(24)).astype(np.int64)  # 16 fraction bits
    step, fraction = t >> 8 & 0xFF, t & 0xFF
    fall = (_POWER[step] - _POWER[step + 1]) * fraction >> 8
    halvings = t >> 16
    power = _POWER[step] - fall >> np.minimum(halvings, 62)
    power[halvings > _POWER_FRACTION_BITS] = 0
    return power


def _softmax(scores: np.ndarray, scales: np.ndarray, steepness: int) -> np.ndarray:
    power = _powers(scores, steepness)
    total = int(power.sum())
    z = total.bit_length() - _RECIPROCAL_BITS
    reciprocal = (1 << 33) // (total >> z)
    probability = rounded(power * reciprocal, 9 + z)  # 24 fraction bits
    product = probability * (scales & 0xFFFF).astype(np.int64)  # at most 40 bits
    shift = (scales >> 16 & 0xFF).astype(np.int64) - 4
    down = rounded(product, np.clip(shift, 1, 62))
    return _as_vector(np.where(shift > 0, down, product << np.clip(-shift, 0, 4)))
