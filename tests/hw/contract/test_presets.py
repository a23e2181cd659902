"""The presets by name."""

import pytest

from hw.contract.presets import PRESETS, preset


@pytest.mark.parametrize("name", ["datacenter", "edge", "test"])
def test_a_preset_is_found_by_its_name(name):
    assert preset(name) is PRESETS[name]


def test_an_unknown_preset_names_those_that_exist():
    with pytest.raises(ValueError) as error:
        preset("cloud")
    assert str(error.value) == "preset must be one of datacenter, edge, test, not 'cloud'"


def test_small_layers_meet_every_boundary_of_the_test_preset():
    """A layer of 64 x 172 has several tiles, a ragged one, more channels than a scan or burst."""
    params = preset("test")
    assert len(params.tiles(172)) > 2
    assert params.tiles(172)[-1] % params.lanes
    assert params.scan_width < 64
    assert params.event_depth < 172
    assert params.vector_bytes(172) > params.max_burst_words * params.axi_bytes


def test_datacenter_takes_the_matrices_of_14b_models():
    params = preset("datacenter")
    assert params.max_channels >= 13824  # down of LLaMA-2 13B and Qwen2.5-14B
    assert params.axi_data_width * 4 == params.lanes * 8  # as balanced as edge
