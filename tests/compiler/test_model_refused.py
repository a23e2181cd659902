"""Whole models that are refused: what the hardware cannot take, and what memory cannot hold."""

import re
from dataclasses import replace

import pytest

from compiler.passes.program import image_of_model
from compiler.programs.model import build_model
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe
from tests.compiler.whole import PARAMS, whole


@pytest.mark.parametrize(
    ("changes", "params", "arguments", "message"),
    [
        (
            {"head_dim": 64},
            PARAMS,
            {},
            (
                "a head has 64 channels, but a tile of this hardware only 32 (lanes * banks): "
                "choose a larger preset"
            ),
        ),
        (
            {"head_dim": 6},
            preset("edge"),
            {},
            (
                "a head has 6 channels, which are no whole memory words of 4 (axi_data_width): "
                "choose a preset with a narrower memory port"
            ),
        ),
        (
            {},
            replace(PARAMS, max_count=63),
            {"recipe_": recipe(max_count=63)},
            (
                "keys and values count to 127, but this hardware only to 63 (max_count): choose "
                "another preset"
            ),
        ),
        (
            {},
            replace(PARAMS, weight_widths=(4,)),
            {"recipe_": recipe(weight_bits=4)},
            (
                "keys and values have 8 bits, which this hardware does not take as weights "
                "(weight_widths): choose another preset"
            ),
        ),
        ({"heads": 128, "kv_heads": 1}, PARAMS, {}, "heads must be at most 127, not 128"),
        ({}, PARAMS, {"context": 0}, "context must be 1 to 64, the positions of the model, not 0"),
        (
            {},
            PARAMS,
            {"context": 65},
            "context must be 1 to 64, the positions of the model, not 65",
        ),
        (
            {"max_positions": 4096},
            PARAMS,
            {"context": 2049},
            "context must be at most 2048 positions on this hardware (max_channels), not 2049",
        ),
        (
            {"sliding_window": 16},
            PARAMS,
            {"context": 17},
            (
                "context must be at most 16, not 17: beyond its sliding window a layer would "
                "have to forget positions"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, params, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        whole(params, **(arguments | changes))


def test_a_sliding_window_that_is_never_left_does_not_matter():
    assert whole(sliding_window=16, context=16).context == 16
    every = dict(sliding_window=16, full_layers=(0, 1))
    assert whole(**every, context=40).context == 40


def test_the_context_is_what_model_and_hardware_have():
    assert whole(context=None).context == 64
    assert whole(context=None, max_positions=10_000).context == PARAMS.max_channels


def test_memory_that_is_too_small_is_refused_by_the_name_of_the_buffer():
    model = whole()
    regions = image_of_model(model, PARAMS, "csd").regions
    region = regions["layers.1.values"]
    limit = region.address + region.bytes
    with pytest.raises(ValueError) as error:
        image_of_model(model, PARAMS, "csd", memory=limit - 1)
    assert str(error.value) == (
        f"buffer layers.1.values needs {region.bytes:,} bytes, but of {limit - 1:,} bytes of "
        f"memory only {region.bytes - 1:,} are left: give more memory, a shorter context or fewer "
        "bits of a weight"
    )
    last = regions["records"]
    image_of_model(model, PARAMS, "csd", memory=last.address + last.bytes)
    with pytest.raises(ValueError, match="^buffer records needs "):
        image_of_model(model, PARAMS, "csd", memory=last.address + last.bytes - 1)
    with pytest.raises(ValueError, match="^buffer .* but of 65,536 bytes of memory only "):
        image_of_model(model, replace(PARAMS, axi_addr_width=16), "csd")


def test_a_model_that_is_refused_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="^coding must be one of unary, bitwise, csd, not 'x'$"):
        build_model(RandomCheckpoint(0), tmp_path / "m", params=PARAMS, recipe=recipe(), coding="x")
    assert not list(tmp_path.iterdir())
