"""The functional device's operations between the matrices, against section 8 in plain integers."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hw.contract.isa import VectorOp
from sim.functional import vector
from sim.functional.arithmetic import scale_word
from tests.harness import reference

LOW, HIGH = reference.LOW, reference.HIGH
EDGES = [0, 1, 2, 2047, 2048, 65535, 65536, (1 << 20) - 1, 1 << 20, 1 << 30, HIGH]
INT32 = st.one_of(
    st.integers(LOW, HIGH),
    st.integers(-300, 300),
    st.integers(-(1 << 21), 1 << 21),
    st.sampled_from([*EDGES, *(-x for x in EDGES), LOW]),
)


def rows(count: int, elements=INT32, min_size: int = 1, step: int = 1):
    """Return `count` rows of equal length, a multiple of `step`."""
    element = st.tuples(*[elements] * count * step)
    return st.lists(element, min_size=min_size, max_size=24).map(
        lambda drawn: np.array(drawn, np.int32).reshape(len(drawn) * step, count).T.copy()
    )


def operate(operation, x, z=None, constant=0):
    result = vector.operate(operation, x, z, constant)
    assert result.dtype == np.int32 and result.shape == x.shape
    return result.tolist()


@given(rows(1))
def test_copy_is_a_copy(row):
    (x,) = row
    assert operate(VectorOp.COPY, x) == x.tolist()
    assert not np.shares_memory(vector.operate(VectorOp.COPY, x, None, 0), x)


@given(rows(2))
def test_add(pair):
    a, b = pair
    want = [reference.sat32(i + j) for i, j in zip(a.tolist(), b.tolist(), strict=True)]
    assert operate(VectorOp.ADD, a, b) == want


@given(rows(2), st.one_of(st.integers(1, 1 << 20), st.just((1 << 32) - 1)))
@example(np.full((2, 3), LOW, np.int32), (1 << 32) - 1)
@example(np.zeros((2, 5), np.int32), 1)
def test_norm(pair, epsilon):
    x, gains = pair
    want = reference.rms_norm(x.tolist(), gains.tolist(), epsilon)
    assert operate(VectorOp.NORM, x, gains, epsilon) == want


@given(rows(2, step=2))
@example(np.full((2, 4), LOW, np.int32))  # the sum of the products is 2^63
def test_rotate(pair):
    x, angles = pair
    want = reference.rotate(x.tolist(), angles[::2].tolist(), angles[1::2].tolist())
    assert operate(VectorOp.ROTATE, x, angles) == want


@given(rows(2))
def test_swiglu(pair):
    g, u = pair
    want = [reference.swiglu(i, j) for i, j in zip(g.tolist(), u.tolist(), strict=True)]
    assert operate(VectorOp.SWIGLU, g, u) == want


def test_swiglu_at_every_entry_of_its_table():
    g = np.arange(-513 << 11, 513 << 11, 1 << 10, dtype=np.int32)
    u = np.full_like(g, 12345)
    assert operate(VectorOp.SWIGLU, g, u) == [reference.swiglu(i, 12345) for i in g.tolist()]


SCALES = st.lists(
    st.tuples(INT32, st.integers(0, 0xFFFF), st.one_of(st.integers(0, 40), st.integers(0, 255))),
    min_size=1,
    max_size=24,
)


@given(SCALES, st.one_of(st.integers(1, (1 << 25) - 1), st.just(reference.mu(64))))
@example([(LOW, 0xFFFF, 0), (HIGH, 0xFFFF, 0)], (1 << 25) - 1)
def test_softmax(drawn, steepness):
    scores, mantissa, exponent = (list(part) for part in zip(*drawn, strict=True))
    x = np.array(scores, np.int32)
    z = np.array([m | e << 16 for m, e in zip(mantissa, exponent, strict=True)], np.int32)
    want = reference.softmax(scores, mantissa, exponent, steepness)
    assert operate(VectorOp.SOFTMAX, x, z, steepness) == want


def test_softmax_of_many_equal_scores():
    x = np.full(8192, -5, np.int32)
    z = np.full(8192, 0x8000 | 20 << 16, np.int32)
    want = reference.softmax([-5] * 8192, [0x8000] * 8192, [20] * 8192, reference.mu(8))
    assert operate(VectorOp.SOFTMAX, x, z, reference.mu(8)) == want


@given(rows(1, st.sampled_from([LOW, -1, 0, 1, HIGH])))
def test_argmax_takes_the_first_of_the_largest(row):
    (x,) = row
    assert vector.argmax(x) == reference.argmax(x.tolist())


@pytest.mark.parametrize("v", [1 << 24, (1 << 24) + 12345, (1 << 56) - 1, 1 << 40])
def test_scale_word_is_the_threshold_as_a_real(v):
    mantissa, e = reference.split(v)
    assert scale_word(v) == mantissa | 40 - e << 16


def test_what_makes_no_row_is_refused():
    x = np.ones(2, np.int32)
    with pytest.raises(ValueError, match="ARGMAX makes no row here"):
        vector.operate(VectorOp.ARGMAX, x, x, 0)
