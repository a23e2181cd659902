"""What a matrix costs, against loops over section 7's words."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.codings import CODINGS, encode, time_steps_for
from golden.numerics.costs import matrix_cost, row_segment_bytes, synaptic_operations
from hw.contract.presets import PRESETS


def cost(counts, outputs, coding="csd", weight_width=8):
    return matrix_cost(
        torch.tensor(counts, dtype=torch.int8),
        outputs,
        coding,
        time_steps_for(127, coding),
        weight_width=weight_width,
        tile_outputs=32,
        lanes=8,
        word_bytes=8,
    )


def test_an_example_by_hand():
    # Channels 1 and 3 are silent for both tokens. In csd, 3 is 4 - 1, 127 is 128 - 1: two spikes
    # each, -4 is one.
    found = cost([[3, 0, 0, 0], [0, 0, -4, 0], [127, 0, 0, 0]], outputs=33)
    assert (found.silent_channels, found.events) == (2, 2)
    assert found.synaptic_operations == 33 * 5
    assert found.weight_bytes == 2 * (32 + 8)  # a full tile, and a tail of one beat
    assert found.dense_weight_bytes == 4 * (32 + 8)


@pytest.mark.parametrize(
    ("coding", "spikes"), [("unary", 3 + 4 + 127), ("bitwise", 2 + 1 + 7), ("csd", 2 + 1 + 2)]
)
def test_spikes_depend_on_the_coding(coding, spikes):
    assert cost([[3, 0, -4, 127]], 10, coding).synaptic_operations == 10 * spikes


@pytest.mark.parametrize("counts", [[[0] * 5] * 3, [[1] * 5] * 3])
def test_all_silent_and_all_firing(counts):
    found = cost(counts, 16)
    events = 5 * (counts[0][0] != 0)
    assert (found.events, found.silent_channels) == (events, 5 - events)
    assert found.synaptic_operations == 16 * 3 * events
    assert found.weight_bytes == events * 16


@given(
    st.lists(st.lists(st.integers(-127, 127) | st.just(0), min_size=6, max_size=6), min_size=1),
    st.sampled_from(CODINGS),
)
def test_counts_are_those_of_a_loop(counts, coding):
    time_steps = time_steps_for(127, coding)
    spikes = encode(torch.tensor(counts), coding, time_steps).tolist()
    nonzero = sum(s != 0 for step in spikes for token in step for s in token)
    silent = sum(all(token[k] == 0 for token in counts) for k in range(6))
    found = cost(counts, 20, coding)
    assert found.synaptic_operations == 20 * nonzero
    assert synaptic_operations(torch.tensor(counts), 20, coding, time_steps) == 20 * nonzero
    assert (found.silent_channels, found.events) == (silent, 6 - silent)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("weight_width", [8, 4, 2])
@pytest.mark.parametrize("outputs", [1, 7, 8, 31, 32, 33, 192, 576, 1025, 1536, 2049])
def test_row_segments_are_as_long_as_the_hardware_stores_them(preset, weight_width, outputs):
    params = PRESETS[preset]
    stored = sum(params.row_bytes(tile, weight_width) for tile in params.tiles(outputs))
    found = row_segment_bytes(
        outputs, weight_width, params.tile_outputs, params.lanes, params.axi_bytes
    )
    assert found == stored
