"""The operations between the matrices: against section 8, and within the bounds it states."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.checkpoint.rope import angles_table, pair_order
from golden.numerics import vector
from tests.harness import reference

LOW, HIGH = reference.LOW, reference.HIGH
EPSILON = 2.0**-17
ROUNDING = 2.0**-45  # what float64 itself may be off by, of its own result
EDGES = [0, 1, 2, 2047, 2048, 65535, 65536, (1 << 20) - 1, 1 << 20, 1 << 30, HIGH]
INT32 = st.integers(LOW, HIGH) | st.sampled_from([*EDGES, *(-x for x in EDGES), LOW])


def int32(values) -> torch.Tensor:
    return torch.as_tensor(values).to(torch.int32)


def real(x: torch.Tensor) -> np.ndarray:
    return x.double().numpy() / 65536


def magnitudes(rng, shape, low: float = 0, high: float = 31) -> torch.Tensor:
    """Integers of either sign whose binary logarithms are uniform: all scales alike."""
    x = np.floor(2 ** rng.uniform(low, high, shape)) * rng.choice([-1, 1], shape)
    return int32(torch.from_numpy(x.clip(LOW, HIGH).astype(np.int64)))


def assert_bound(got: torch.Tensor, want: np.ndarray, bound: np.ndarray) -> None:
    """Compare where nothing saturates; the bound must matter at least somewhere."""
    free = (got.numpy() > LOW) & (got.numpy() < HIGH)
    error = np.abs(real(got) - want) - ROUNDING * np.abs(want)
    over = free & (error > bound)
    assert not over.any(), (
        f"{over.sum()} of {over.size} errors over their bounds, one at "
        f"{[int(i) for i in np.argwhere(over)[0]]}: {error[over][0]} > {bound[over][0]}"
    )
    assert free.any() and (error[free] > bound[free] / 64).any()


# Addition, argmax


@given(st.lists(st.tuples(INT32, INT32), min_size=1, max_size=8))
def test_add(pairs):
    a, b = zip(*pairs, strict=True)
    got = vector.add(int32(a), int32(b))
    assert got.dtype == torch.int32
    assert got.tolist() == [reference.sat32(x + y) for x, y in pairs]


@given(st.lists(st.lists(st.sampled_from([LOW, -1, 0, 1, HIGH]), min_size=9, max_size=9)))
def test_argmax_takes_the_first_of_the_largest(rows):
    got = vector.argmax(int32(rows).view(-1, 9))
    assert got.tolist() == [reference.argmax(row) for row in rows]


def test_halves_go_away_from_zero():
    """Of products with 1/2: a turn, a gain of 3 lsb, and an up."""
    odd, away, half = [-5, -3, -1, 1, 3, 5], [-3, -2, -1, 1, 2, 3], 32768
    turn = int32([[half] * 3]), int32([[0] * 3])
    assert vector.rotate(int32([[odd]]), *turn, True).tolist() == [[away]]
    assert vector.rms_norm(int32([1, -1]), int32([3, 3]), 3).tolist() == [2, -2]  # of 1/2, -1/2
    gate = int32([(1 << 24) + x for x in odd] + [(1 << 24) + x for x in odd])
    up = int32([half] * 6 + [-half] * 6)
    down = [(1 << 23) + (x + 1) // 2 for x in odd]
    assert vector.swiglu(gate, up).tolist() == [*down, *(-y for y in down)]


# RMSNorm


@pytest.mark.parametrize(
    ("eps", "lsb"),
    [(0, 1), (2.0**-40, 1), (1e-5, 42950), (1e-6, 4295), (1.5 * 2.0**-32, 2), (0.5, 1 << 31)],
)
def test_norm_epsilon(eps, lsb):
    assert vector.norm_epsilon(eps) == lsb


@given(st.lists(INT32, min_size=1, max_size=12), st.integers(1, 1 << 32), st.data())
def test_rms_norm_is_its_section(x, epsilon, data):
    w = data.draw(st.lists(INT32, min_size=len(x), max_size=len(x)))
    got = vector.rms_norm(int32([x, x[::-1]]), int32(w), epsilon)
    assert got.dtype == torch.int32
    assert got.tolist() == [reference.rms_norm(row, w, epsilon) for row in (x, x[::-1])]


@pytest.mark.parametrize("channels", [1, 2, 3, 576, 8191, 8192])
@pytest.mark.parametrize("epsilon", [1, 42950, 1 << 32])
def test_rms_norm_of_extremes_is_its_section(channels, epsilon):
    spike = [0] * channels
    spike[-1] = LOW
    rows = [[LOW] * channels, [HIGH] * channels, [0] * channels, [1] * channels, spike]
    w = ([HIGH, -1, 65536, LOW] * channels)[:channels]
    got = vector.rms_norm(int32(rows), int32(w), epsilon)
    assert got.tolist() == [reference.rms_norm(row, w, epsilon) for row in rows]


@pytest.mark.parametrize("channels", [1, 2, 5, 64, 576, 8192])
@pytest.mark.parametrize("epsilon", [1, 43, 42950, 1 << 32])
def test_rms_norm_keeps_its_bound(channels, epsilon, rng):
    rows = 300 if channels < 100 else 60
    spread = rng.uniform(0, 31, (rows, 1)), rng.uniform(0, 31, (rows, 1))
    x = magnitudes(rng, (rows, channels), np.minimum(*spread), np.maximum(*spread))
    w = magnitudes(rng, (channels,), 8, 28)
    m = np.square(x.double().numpy()).mean(1, keepdims=True) + epsilon
    n = x.double().numpy() / np.sqrt(m)
    floor = 0.5 / np.maximum(epsilon, m - 1)  # the section's 1/(2E), where the mean is not small
    bound = np.abs(real(w)) * (np.abs(n) * (2.0**-15 + floor) + EPSILON) + EPSILON
    assert_bound(vector.rms_norm(x, w, epsilon), n * real(w), bound)


def test_rms_norm_takes_heads_one_by_one(rng):
    x, w = magnitudes(rng, (4, 3, 8)), magnitudes(rng, (8,), 12, 18)
    whole = vector.rms_norm(x, w, 7)
    assert torch.equal(whole.flatten(0, 1), vector.rms_norm(x.flatten(0, 1), w, 7))


# Rotation


@given(st.lists(INT32, min_size=8, max_size=8), st.data())
def test_rotation_is_its_section(x, data):
    turn = st.lists(st.integers(-1 << 17, 1 << 17), min_size=4, max_size=4)
    cos, sin = data.draw(turn), data.draw(turn)
    got = vector.rotate(int32(x).view(1, 1, 8), int32([cos]), int32([sin]), True)
    assert got.dtype == torch.int32
    assert got.flatten().tolist() == reference.rotate(x, cos, sin)


@pytest.mark.parametrize("theta", [1e4, 1e6])
def test_rotation_keeps_its_bound(theta, rng):
    positions = torch.cat([torch.arange(512), torch.arange(8192 - 64, 8192)])
    cos, sin = angles_table(positions, 64, theta, None)
    x = magnitudes(rng, (len(positions), 2, 64))
    table = (int32(torch.from_numpy(np.rint(t.numpy() * 65536))) for t in (cos, sin))
    got = vector.rotate(x, *table, True)
    a, b = real(x)[..., 0::2], real(x)[..., 1::2]
    cos, sin = cos[:, None].numpy(), sin[:, None].numpy()
    bound = (np.abs(a) + np.abs(b)) * (EPSILON + ROUNDING) + EPSILON
    assert_bound(got[..., 0::2], a * cos - b * sin, bound)
    assert_bound(got[..., 1::2], a * sin + b * cos, bound)


def test_pairs_half_a_head_apart_are_the_same_pairs(rng):
    x = magnitudes(rng, (5, 3, 16))
    turn = magnitudes(rng, (2, 5, 8), 0, 16)
    order = pair_order(16, interleaved=False)
    assert order.tolist()[:4] == [0, 8, 1, 9]
    assert torch.equal(pair_order(16, interleaved=True), torch.arange(16))
    apart = vector.rotate(x, *turn, interleaved=False)
    assert torch.equal(apart[..., order], vector.rotate(x[..., order], *turn, interleaved=True))


# SwiGLU


def test_the_tables_are_rounded_from_exact_values():
    assert vector._SIGMOID.tolist() == reference.sigmoid_table()
    assert vector._POWER.tolist() == reference.power_table()


@given(st.lists(st.tuples(INT32, INT32), min_size=1, max_size=8))
def test_swiglu_is_its_section(pairs):
    g, u = zip(*pairs, strict=True)
    got = vector.swiglu(int32(g), int32(u))
    assert got.dtype == torch.int32
    assert got.tolist() == [reference.swiglu(*pair) for pair in pairs]


def test_swiglu_keeps_its_bound(rng):
    """Every gate below 17 in magnitude, and all scales beyond, with ups of all scales."""
    near = torch.arange(-17 << 16, (17 << 16) + 1)
    g = torch.cat([int32(near), magnitudes(rng, 20000, 20, 31), int32([LOW, HIGH, LOW, HIGH])])
    u = torch.cat([magnitudes(rng, len(g) - 4, 0, 31), int32([1, LOW, 65536, -1])])
    for up in (u, torch.full_like(g, 65536), torch.full_like(g, 1 << 25)):
        sigmoid = 1 / (1 + np.exp(-real(g).clip(-700)))
        near = np.abs(real(g)) < 16
        slope = np.where(near, np.abs(real(g)) * 1.23e-5 + EPSILON, 1.9e-6)
        bound = slope * np.abs(real(up)) + EPSILON
        assert_bound(vector.swiglu(g, up), real(g) * sigmoid * real(up), bound)


def test_swiglu_of_large_gates_is_linear_or_zero():
    g = int32([1 << 20, HIGH, -1 << 20, LOW])
    assert vector.swiglu(g, torch.full_like(g, 65536)).tolist() == [1 << 20, HIGH, 0, 0]


# Softmax


def test_softmax_multiplier_is_rounded_from_its_exact_value():
    for head_dim in range(1, 2049):
        assert vector.softmax_multiplier(head_dim) == reference.mu(head_dim)


SCALES = st.tuples(st.integers(1 << 15, (1 << 16) - 1), st.integers(0, 71))


@given(
    st.lists(st.tuples(INT32, SCALES), min_size=1, max_size=12),
    st.integers(0, 31),
    st.sampled_from([2, 8, 64, 128]),
)
def test_softmax_is_its_section(positions, narrow, head_dim):
    scores = [score >> narrow for score, _ in positions]
    mantissa, exponent = zip(*(scale for _, scale in positions), strict=True)
    mu = reference.mu(head_dim)
    seen = torch.ones(1, len(scores), dtype=torch.bool)
    got = vector.softmax(int32([scores]), seen, int32(mantissa), int32(exponent), mu)
    assert got.dtype == torch.int32
    assert got.tolist() == [reference.softmax(scores, mantissa, exponent, mu)]


@given(st.lists(st.tuples(INT32, st.booleans()), min_size=1, max_size=9), INT32)
def test_positions_that_are_not_seen_are_as_if_not_there(positions, last):
    positions = [*positions, (last, True)]
    scores, seen = (list(column) for column in zip(*positions, strict=True))
    there = [i for i, is_seen in enumerate(seen) if is_seen]
    scale = int32([40000]), int32([20])
    whole = vector.softmax(int32([scores]), torch.tensor([seen]), *scale, 1 << 21)[0]
    part = int32([[scores[i] for i in there]])
    alone = vector.softmax(part, torch.ones_like(part, dtype=torch.bool), *scale, 1 << 21)[0]
    assert whole[there].tolist() == alone.tolist()
    assert not whole[[i for i in range(len(seen)) if i not in there]].any()


def relative_error_of_e(distance: np.ndarray) -> np.ndarray:
    return math.log(2) * (2.0**-17 + distance * 2.0**-25) + 1.5e-6


@pytest.mark.parametrize("head_dim", [2, 8, 64, 128, 8192])
def test_exponentials_keep_their_bound(head_dim, rng):
    mu = vector.softmax_multiplier(head_dim)
    last = int(26 * math.log(2) * math.sqrt(head_dim) * 65536)  # of 26 bits
    distance = torch.cat(
        [
            torch.arange(1 << 18),  # each of the first 4
            torch.from_numpy(rng.integers(0, last, 1 << 19)),
            torch.from_numpy(2 ** rng.uniform(0, 32, 1 << 16)).long().clamp(max=(1 << 32) - 1),
            torch.tensor([0, (1 << 32) - 1]),
        ]
    )
    got = vector.exponential(distance, mu)
    d = distance.double().numpy() / 65536
    want = np.exp(-d / math.sqrt(head_dim))
    error = np.abs(got.numpy() / 2.0**24 - want)
    assert (error <= want * relative_error_of_e(d) + 2.0**-24).all()
    assert got[0] == 1 << 24 and got[-1] == 0 and got.min() == 0
    some = distance[rng.integers(0, len(distance), 500)].tolist()
    assert vector.exponential(torch.tensor(some), mu).tolist() == [
        reference.exponential(d, mu) for d in some
    ]


@pytest.mark.parametrize("positions", [1, 2, 3, 17, 256, 1000, 8191, 8192])
@pytest.mark.parametrize("head_dim", [8, 64])
def test_probabilities_keep_their_bound(positions, head_dim, rng):
    spread = 2.0 ** rng.uniform(0, 24, (40, 1))
    spread[:3, 0] = 0, 1, 65536
    scores = np.rint(rng.normal(size=(40, positions)) * spread).clip(LOW, HIGH)
    scores[-1, 0] = HIGH  # one outweighs all
    scores[-2, :] = LOW
    scores[-3, : positions // 2] = LOW
    scores = int32(scores.astype(np.int64))
    seen = torch.ones(1, positions, dtype=torch.bool)
    # With this scale word, w is the probability with its 24 fraction bits.
    scale = int32([1 << 15]), int32([19])
    q = vector.softmax(scores, seen, *scale, vector.softmax_multiplier(head_dim))
    d = real(scores).max(1, keepdims=True) - real(scores)
    e = np.exp(-d / math.sqrt(head_dim))
    want = e / e.sum(1, keepdims=True)
    relative = 2.0**-15 + 2 * relative_error_of_e(d.max(1, keepdims=True))
    bound = want * relative + (positions + 1) * 2.0**-24
    assert (np.abs(q.numpy() / 2.0**24 - want) <= bound).all()
    row = int(rng.integers(40))
    assert q[row].tolist() == reference.probabilities(scores[row].tolist(), reference.mu(head_dim))


def test_the_reciprocal_of_the_sum_reaches_both_its_ends():
    one, nearly_two = [0], [1, 0]  # sums of 2^24, and of just below 2^25
    for scores, reciprocal in ((one, 1 << 17), (nearly_two, 1 << 16)):
        e = [reference.exponential(max(scores) - s, 1 << 24) for s in scores]
        assert (1 << 33) // (sum(e) >> sum(e).bit_length() - 17) == reciprocal
        row, seen = int32([scores]), torch.ones(1, len(scores), dtype=torch.bool)
        q = vector.softmax(row, seen, int32([1 << 15]), int32([19]), 1 << 24)
        assert q.tolist() == [reference.probabilities(scores, 1 << 24)]
