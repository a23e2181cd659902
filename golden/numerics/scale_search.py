"""The search for a channel's scale, compiled: what `quant` describes, many times as fast."""

import numba
import numpy as np

__all__ = ["codes", "search"]

_AT_ONCE = 512  # weights between two looks at the cost so far
_DOUBT = 1e-9  # far beyond what the order of a sum of 2^24 float64 terms can change


@numba.njit(nogil=True, cache=True)
def search(block, scales, largest, chosen, doubtful):
    """Find each channel's scale of least squared error.

    Parameters
    ----------
    block : ndarray of float32
        Weights, (rows, K).
    scales : ndarray of float32
        Those to choose from, (rows, clips), in the order in which the first of equals wins.
    largest : float32
        Largest code.
    chosen : ndarray of int64
        Filled with the index of each row's scale, (rows,).
    doubtful : ndarray of bool
        Filled with whether another cost as much but for what the order of additions may change.
    """
    squares = np.empty(_AT_ONCE, np.float32)
    for row in range(block.shape[0]):
        weights = block[row]
        least = np.inf
        chosen[row], doubtful[row] = 0, False
        if scales[row, 0] == 0:
            continue
        for clip in range(scales.shape[1]):
            limit = least * (1 + _DOUBT)
            cost = 0.0
            for start in range(0, weights.shape[0], _AT_ONCE):
                part = weights[start : start + _AT_ONCE]
                _squared_errors(part, scales[row, clip], largest, squares)
                cost += _sum(squares[: part.shape[0]])
                if cost > limit:  # what is left cannot make it smaller
                    break
            if cost < least * (1 - _DOUBT):
                least, chosen[row], doubtful[row] = cost, clip, False
            elif cost <= limit:
                least, doubtful[row] = min(least, cost), True


@numba.njit(nogil=True, cache=True)
def _squared_errors(weights, scale, largest, squares):
    """Square what rounding to codes costs: float32, ties to even, each step rounded as written."""
    for i in range(weights.shape[0]):
        code = np.rint(weights[i] / scale)
        code = max(-largest, min(largest, code))
        error = code * scale - weights[i]
        squares[i] = error * error


@numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
def _sum(squares):
    total = 0.0
    for i in range(squares.shape[0]):
        total += np.float64(squares[i])
    return total


@numba.njit(nogil=True, cache=True)
def codes(block, scales, largest, out):
    """Fill `out` with the codes of a block: round_half_away(w / scale), clamped.

    A weight and a half-odd multiple of a scale, of 24 bits each, differ by more than 2^-25 of their
    value, or not at all: a quotient that is too large by 2^-40 rounds as the exact one does.

    Parameters
    ----------
    block : ndarray of float32
        Weights, (rows, K).
    scales : ndarray of float64
        Each row's scale, (rows,); 0 where all its weights are.
    largest : float64
        Largest code.
    out : ndarray of int8
        (rows, K).
    """
    for row in range(block.shape[0]):
        inverse = (1 + 2.0**-40) / scales[row] if scales[row] > 0 else 0.0
        for i in range(block.shape[1]):
            weight = np.float64(block[row, i])
            code = np.int32(min(abs(weight) * inverse + 0.5, largest))
            out[row, i] = np.int8(code if weight >= 0 else -code)
