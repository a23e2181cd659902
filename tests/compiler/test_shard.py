"""What each of several devices holds: every output channel once, cut where hardware can write."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.passes.shard import rows_of, shards, whole
from golden.checkpoint.names import MATRICES
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, hardware

PARAMS = preset("test")


def config(**changes):
    return RandomCheckpoint(0, **changes).config


@given(st.integers(1, 5), st.integers(1, 3), hardware(), st.integers(20, 90), st.integers(20, 200))
def test_every_row_is_in_exactly_one_share(devices, group, params, hidden, ffn):
    of = config(kv_heads=5, heads=5 * group, head_dim=8, hidden_size=hidden, ffn_size=ffn, layers=1)
    try:
        found = shards(of, params, devices)
    except ValueError as error:
        assert "memory words" in str(error)
        return
    one = whole(of)
    for name in [*(f"layers.0.{kind}" for kind in MATRICES), "lm_head"]:
        rows = [rows_of(name, of, shard) for shard in found]
        assert [row for run in rows for row in run] == [*rows_of(name, of, one)]
        assert all(run.start % params.encode_lanes == 0 and len(run) for run in rows)
        if name.rpartition(".")[2] in ("q", "k", "v"):
            assert all(len(run) % of.head_dim == 0 for run in rows)
        elif len(rows_of(name, of, one)) > params.lanes * (devices - 1):
            assert all(run.start % params.lanes == 0 for run in rows)


def test_shares_are_as_even_as_they_come():
    of = config(heads=9, kv_heads=3, head_dim=64, hidden_size=576, ffn_size=1536, vocab_size=49152)
    first, second = shards(of, preset("edge"), 2)
    assert (first.kv_heads, second.kv_heads) == (range(0, 1), range(1, 3))
    assert (first.hidden, second.hidden) == (range(0, 320), range(320, 576))
    assert (first.ffn, second.ffn) == (range(0, 768), range(768, 1536))
    assert rows_of("layers.0.q", of, second) == range(192, 576)


def test_a_vector_of_fewer_beats_than_devices_is_cut_between_words():
    of = config(hidden_size=60)
    parts = [shard.hidden for shard in shards(of, replace(PARAMS, lanes=64), 2)]
    assert parts == [range(0, 30), range(30, 60)]


@pytest.mark.parametrize(
    ("changes", "devices", "sentence"),
    [
        ({}, 0, "devices must be at least 1, not 0"),
        ({}, 3, "devices must be at most 2, not 3: random has 2 key heads, which stay whole"),
        (
            dict(heads=6, kv_heads=6, hidden_size=8),
            5,
            "devices must be at most 4, not 5: random's residual stream has 4 memory words",
        ),
    ],
)
def test_a_device_without_work(changes, devices, sentence):
    with pytest.raises(ValueError) as refused:
        shards(config(**changes), PARAMS, devices)
    assert str(refused.value) == sentence
