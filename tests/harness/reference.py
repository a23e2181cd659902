"""Numerics, sections 1 to 10, one value at a time in Python integers: plain, slow, for tests."""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from math import floor, isqrt

LOW, HIGH = -(1 << 31), (1 << 31) - 1


def sat32(x: int) -> int:
    return max(LOW, min(HIGH, x))


def rnd(p: int, s: int) -> int:
    return (abs(p) + (1 << (s - 1)) >> s) * (-1 if p < 0 else 1)


def half_away(x: Fraction | Decimal) -> int:
    """Round what is not negative."""
    return floor(Fraction(x) + Fraction(1, 2))


@cache
def sigmoid_table() -> list[int]:
    with localcontext() as context:
        context.prec = 60
        return [half_away((1 << 22) / (1 + (-Decimal(i) / 32).exp())) for i in range(513)]


@cache
def power_table() -> list[int]:
    with localcontext() as context:
        context.prec = 60
        return [half_away((1 << 24) * Decimal(2) ** (-Decimal(i) / 256)) for i in range(257)]


@cache
def mu(head_dim: int) -> int:
    with localcontext() as context:
        context.prec = 60
        return half_away((1 << 24) / Decimal(2).ln() / Decimal(head_dim).sqrt())


# Section 2


def threshold(x: list[int], site) -> int:
    a = {
        "absmax": max(map(abs, x)),
        "mean": sum(map(abs, x)),
        "static": site.peak,
    }[site.rule]
    v = (a * site.multiplier << 16) // site.divisor
    return min(max(1 << 24, v), (1 << 56) - 1)


def fire(x: list[int], v: int, site) -> list[int]:
    counts = []
    for value in x:
        n = min(site.max_count, ((abs(value) << 25) + v) // (2 * v))
        counts.append(0 if abs(value) < site.dead_zone else -n if value < 0 else n)
    return counts


# Sections 5 and 6


def split(v: int) -> tuple[int, int]:
    """Return mantissa and e of a threshold."""
    e = v.bit_length() - 16
    return v >> e, e


def requantize(y: int, v: int, mantissa: int, exponent: int, bias: int = 0) -> int:
    threshold_mantissa, e = split(v)
    p, sh = y * threshold_mantissa * mantissa, 24 + exponent - e
    return sat32(sat32(rnd(p, sh) if sh > 0 else p << -sh) + bias)


def dot(a, b) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def matrix(x: list[int], site, codes, mantissa, exponent, bias=None) -> list[int]:
    v = threshold(x, site)
    n = fire(x, v, site)
    bias = bias or [0] * len(codes)
    columns = zip(codes, mantissa, exponent, bias, strict=True)
    return [requantize(dot(n, row), v, m, ex, b) for row, m, ex, b in columns]


# Section 8


def rms_norm(x: list[int], w: list[int], epsilon: int) -> list[int]:
    m = sum(value * value for value in x) // len(x) + epsilon
    s = 0
    while m * 4 ** (s + 1) < 1 << 64:
        s += 1
    g = (1 << 48) // isqrt(m * 4**s)
    n = [sat32(rnd(value * g, 32 - s)) for value in x]
    return [sat32(rnd(a * b, 16)) for a, b in zip(n, w, strict=True)]


def rotate(x: list[int], cos: list[int], sin: list[int]) -> list[int]:
    """Turn pairs of neighbours."""
    y = []
    for i, (c, s) in enumerate(zip(cos, sin, strict=True)):
        a, b = x[2 * i], x[2 * i + 1]
        y += [sat32(rnd(a * c - b * s, 16)), sat32(rnd(a * s + b * c, 16))]
    return y


def swiglu(g: int, u: int) -> int:
    table, a = sigmoid_table(), abs(g)
    i, f = divmod(a, 1 << 11)
    s = table[i] + ((table[i + 1] - table[i]) * f >> 11) if a < 1 << 20 else 1 << 22
    h = rnd(g * s, 22) if g >= 0 else rnd(g * ((1 << 22) - s), 22)
    return sat32(rnd(h * u, 16))


def exponential(distance: int, mu: int) -> int:
    table, t = power_table(), rnd(distance * mu, 24)
    j, i, f = t >> 16, t >> 8 & 255, t & 255
    return 0 if j >= 25 else table[i] - ((table[i] - table[i + 1]) * f >> 8) >> j


def probabilities(scores: list[int], mu: int) -> list[int]:
    e = [exponential(max(scores) - s, mu) for s in scores]
    total = sum(e)
    z = total.bit_length() - 17
    r = (1 << 33) // (total >> z)
    assert 1 << 16 <= r <= 1 << 17
    return [rnd(value * r, 9 + z) for value in e]


def softmax(scores: list[int], mantissa: list[int], exponent: list[int], mu: int) -> list[int]:
    w = []
    for q, m, x in zip(probabilities(scores, mu), mantissa, exponent, strict=True):
        w.append(sat32(rnd(q * m, x - 4) if x > 4 else q * m << 4 - x))
    return w


def argmax(x: list[int]) -> int:
    return x.index(max(x))


# Section 9


class RowSite:
    rule, max_count, multiplier, divisor, dead_zone = "absmax", 127, 256, 127, 0
    peak = None


def encode_row(x: list[int]) -> tuple[list[int], int, int]:
    """Return codes, mantissa and exponent."""
    v = threshold(x, RowSite)
    mantissa, e = split(v)
    return fire(x, v, RowSite), mantissa, 40 - e


def attend(q: list[int], keys, values, query, spent) -> list[int]:
    """Return the output of one query head; keys and values are `encode_row`'s results."""
    v = threshold(q, query)
    n = fire(q, v, query)
    scores = [requantize(dot(n, codes), v, m, x) for codes, m, x in keys]
    w = softmax(scores, [m for _, m, _ in values], [x for _, _, x in values], mu(len(q)))
    v = threshold(w, spent)
    n = fire(w, v, spent)
    columns = zip(*(codes for codes, _, _ in values), strict=True)
    return [requantize(dot(n, column), v, 1 << 15, 27) for column in columns]


# Section 10


def fixed(x: float) -> int:
    return sat32(half_away(Fraction(abs(x)) * 65536) * (-1 if x < 0 else 1))


def forward(config, tensor, weight, site, rotation, ids: list[int]) -> list[list[int]]:
    """Return the logits after each token.

    Parameters
    ----------
    config : ModelConfig
        Of pairs that are neighbours.
    tensor : callable
        Real values by canonical name, nested lists.
    weight : callable
        Codes, mantissas and exponents of a matrix by canonical name, lists.
    site : callable
        A site by layer (None: the head), name and channels.
    rotation : callable
        Real cosines and sines of a position.
    """
    epsilon = max(1, half_away(Fraction(config.norm_eps) * (1 << 32)))
    cached: dict[int, tuple[list, list]] = {i: ([], []) for i in range(config.layers)}
    logits = []

    def fixed_row(name: str) -> list[int]:
        return [fixed(value) for value in tensor(name)]

    def apply(x: list[int], layer: int | None, where: str, kind: str) -> list[int]:
        name = "lm_head" if layer is None else f"layers.{layer}.{kind}"
        biased = config.qkv_bias and where == "qkv"
        bias = fixed_row(f"{name}_bias") if biased else None
        return matrix(x, site(layer, where, len(x)), *weight(name), bias)

    def heads(x: list[int]) -> list[list[int]]:
        return [x[i : i + config.head_dim] for i in range(0, len(x), config.head_dim)]

    for position, token in enumerate(ids):
        cos, sin = ([fixed(value) for value in values] for values in rotation(position))
        x = [fixed(value) for value in tensor("embed")[token]]
        for i in range(config.layers):
            n = rms_norm(x, fixed_row(f"layers.{i}.attn_norm"), epsilon)
            q, k, v = (heads(apply(n, i, "qkv", kind)) for kind in "qkv")
            if config.qk_norm:
                q = [rms_norm(h, fixed_row(f"layers.{i}.q_norm"), epsilon) for h in q]
                k = [rms_norm(h, fixed_row(f"layers.{i}.k_norm"), epsilon) for h in k]
            keys, values = cached[i]
            keys.append([encode_row(rotate(h, cos, sin)) for h in k])
            values.append([encode_row(h) for h in v])
            first = max(0, position + 1 - (config.window(i) or position + 1))
            y = []
            for h, query in enumerate(q):
                kv = h // (config.heads // config.kv_heads)
                y += attend(
                    rotate(query, cos, sin),
                    [row[kv] for row in keys[first:]],
                    [row[kv] for row in values[first:]],
                    site(i, "query", config.head_dim),
                    site(i, "probabilities", len(keys) - first),
                )
            x = [sat32(a + b) for a, b in zip(x, apply(y, i, "o", "o"), strict=True)]
            n = rms_norm(x, fixed_row(f"layers.{i}.ffn_norm"), epsilon)
            gate, up = apply(n, i, "gate_up", "gate"), apply(n, i, "gate_up", "up")
            act = [swiglu(g, u) for g, u in zip(gate, up, strict=True)]
            x = [sat32(a + b) for a, b in zip(x, apply(act, i, "down", "down"), strict=True)]
        logits.append(apply(rms_norm(x, fixed_row("final_norm"), epsilon), None, "head", ""))
    return logits
