"""Keys, values and attention by spikes, against section 9."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.kv import attend, encode_rows
from golden.numerics.neuron import Site
from tests.harness import reference
from tests.harness.reference import HIGH, LOW

ABSMAX = Site("absmax", 127, 256, 127)
INT32 = st.integers(LOW, HIGH) | st.sampled_from([0, 1, -1, LOW, HIGH])


def normal(rng, shape, scale: float) -> torch.Tensor:
    x = np.rint(rng.normal(size=shape) * scale).clip(LOW, HIGH)
    return torch.from_numpy(x).to(torch.int32)


@given(st.lists(INT32, min_size=6, max_size=6), st.integers(0, 31))
def test_a_row_is_its_codes_and_its_scale_word(x, narrow):
    x = [value >> narrow for value in x]
    rows = encode_rows(torch.tensor([[x, x[::-1]]], dtype=torch.int32))
    codes, mantissa, exponent = reference.encode_row(x)
    assert rows.codes.tolist() == [[codes, codes[::-1]]]
    assert rows.mantissa.tolist() == [[mantissa] * 2]
    assert rows.exponent.tolist() == [[exponent] * 2]
    assert 7 <= exponent <= 31
    scale = mantissa * 2.0**-exponent  # real; half of one, and 2^-15 of all, may be lost
    for value, code in zip(x, codes, strict=True):
        assert abs(value / 65536 - code * scale) <= scale * (0.5 + abs(code) * 2.0**-15) + 2.0**-40


@pytest.mark.parametrize("scale", [3, 2e3, 6e4, 1e6, 1e9])
@pytest.mark.parametrize(
    ("query", "spent"),
    [
        (ABSMAX, ABSMAX),
        (Site("absmax", 31, 200, 31, 0, 700), Site("absmax", 15, 128, 15, 0, 4000)),
        (Site("mean", 127, 256, 18), Site("static", 127, 256, 127, 1 << 26)),
        (Site("static", 7, 256, 7, 1 << 31), Site("static", 1, 256, 1, 1)),
    ],
)
def test_attention_is_its_section(scale, query, spent, rng):
    """Four query heads that share two, three tokens that see part of seven positions."""
    q = normal(rng, (3, 4, 6), scale)
    k, v = normal(rng, (7, 2, 6), scale), normal(rng, (7, 2, 6), scale)
    k[2], v[4], q[1, 2] = 0, 0, 0
    seen = torch.ones(3, 7, dtype=torch.bool).tril(4)
    seen[:, 0] = seen[2, 1] = False
    got = attend(q, encode_rows(k), encode_rows(v), seen, query, spent)
    assert got.y.dtype == got.scores.dtype == torch.int32
    assert got.scores.shape == (3, 4, 7)
    for token, there in enumerate(seen.tolist()):
        for head in range(4):
            keys, values = (
                [reference.encode_row(x[p, head // 2].tolist()) for p in range(7) if there[p]]
                for x in (k, v)
            )
            want = reference.attend(q[token, head].tolist(), keys, values, query, spent)
            assert got.y[token, 6 * head : 6 * head + 6].tolist() == want
            counts = got.probabilities.counts.view(3, 4, 7)[token, head]
            assert not counts[~seen[token]].any()


def test_attention_comes_near_the_float_one(rng):
    q, k = normal(rng, (5, 4, 64), 65536), normal(rng, (900, 2, 64), 65536)
    v = normal(rng, (900, 2, 64), 65536)
    seen = torch.ones(5, 900, dtype=torch.bool)
    got = attend(q, encode_rows(k), encode_rows(v), seen, ABSMAX, ABSMAX).y / 65536
    q, k, v = (x.double() / 65536 for x in (q, k, v))
    k, v = k.repeat_interleave(2, dim=1), v.repeat_interleave(2, dim=1)
    p = (torch.einsum("thd,phd->thp", q, k) / 8).softmax(dim=-1)
    want = torch.einsum("thp,phd->thd", p, v).flatten(1)
    error = float((got - want).norm() / want.norm())
    assert 0.001 < error < 0.1  # most counts are below 10
