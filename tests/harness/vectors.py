"""docs/numerics.md, section 8, in Python's integers: what the vector unit is held against."""

from math import exp, isqrt

__all__ = ["argmax", "norm", "rotate", "saturate", "softmax", "swiglu"]


def saturate(value: int) -> int:
    return max(-(1 << 31), min((1 << 31) - 1, value))


def rounded(value: int, places: int) -> int:
    magnitude = (abs(value) + (1 << places - 1)) >> places
    return magnitude if value >= 0 else -magnitude


def norm(x: list[int], w: list[int], constant: int) -> list[int]:
    mean = sum(v * v for v in x) // len(x) + constant
    shift = 0
    while mean << 2 * (shift + 1) < 1 << 64:
        shift += 1
    factor = (1 << 48) // isqrt(mean << 2 * shift)
    normed = [saturate(rounded(v * factor, 32 - shift)) for v in x]
    return [saturate(rounded(n * g, 16)) for n, g in zip(normed, w, strict=True)]


def rotate(x: list[int], table: list[int]) -> list[int]:
    turned = []
    for i in range(0, len(x), 2):
        (a, b), (c, s) = x[i : i + 2], table[i : i + 2]
        turned += [saturate(rounded(a * c - b * s, 16)), saturate(rounded(a * s + b * c, 16))]
    return turned


def _sigmoid(i: int) -> int:
    return int((1 << 22) / (1 + exp(-i / 32)) + 0.5)


def swiglu(gate: list[int], up: list[int]) -> list[int]:
    results = []
    for g, u in zip(gate, up, strict=True):
        i, f = divmod(abs(g), 1 << 11)
        s = 1 << 22
        if abs(g) < 1 << 20:
            s = _sigmoid(i) + ((_sigmoid(i + 1) - _sigmoid(i)) * f >> 11)
        h = rounded(g * (s if g >= 0 else (1 << 22) - s), 22)
        results.append(saturate(rounded(h * u, 16)))
    return results


def _power(i: int) -> int:
    return int(2 ** (24 - i / 256) + 0.5)


def softmax(scores: list[int], scales: list[tuple[int, int]], steepness: int) -> list[int]:
    powers = []
    for score in scores:
        whole, fraction = divmod(rounded((max(scores) - score) * steepness, 24), 1 << 16)
        i, f = divmod(fraction, 1 << 8)
        value = _power(i) - ((_power(i) - _power(i + 1)) * f >> 8)
        powers.append(value >> whole if whole < 25 else 0)
    total = sum(powers)
    z = total.bit_length() - 17
    reciprocal = (1 << 33) // (total >> z)
    weights = []
    for power, (mantissa, exponent) in zip(powers, scales, strict=True):
        weight = rounded(power * reciprocal, 9 + z) * mantissa
        down = exponent - 4
        weights.append(saturate(rounded(weight, down) if down > 0 else weight << -down))
    return weights


def argmax(x: list[int]) -> int:
    return x.index(max(x))
