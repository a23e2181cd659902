"""Recipes in manifests: those that cannot be are told in one sentence."""

from copy import deepcopy
from dataclasses import replace

import pytest

from compiler.programs.layers import build
from hw.contract.presets import preset
from sim.check.origin import recipe_of
from tests.compiler.models import RandomCheckpoint, recipe


@pytest.fixture
def built(tmp_path):
    checkpoint, chosen = RandomCheckpoint(0), recipe(dead_zone=0.1)
    return build(
        checkpoint, ["k0"], tmp_path / "m", params=preset("test"), recipe=chosen, coding="csd"
    )


def test_a_recipe_is_read_back(built):
    assert recipe_of(built) == recipe(dead_zone=0.1)


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("default",), None, "'NoneType' object has no attribute 'items'"),
        (("default", "dead_zone"), None, "dead_zone cannot be None"),
        (("default", "max_count"), 128, "max_count must be "),
        (("default", "size"), 1, "SiteSettings.__init__() got an unexpected keyword argument"),
        (("sites",), [], "'list' object has no attribute 'items'"),
        (("layer_sites",), {"qkv": {}}, "not enough values to unpack"),
        (("fold",), 5, "fold cannot be 5"),
        (("fold",), {}, "'npz'"),
        (("adapter",), {"npz": "!"}, ""),
    ],
)
def test_a_recipe_that_cannot_be(built, place, value, wrong):
    manifest = deepcopy(built.manifest)
    entries = manifest["recipe"]
    for key in place[:-1]:
        entries = entries[key]
    entries[place[-1]] = value
    with pytest.raises(ValueError) as error:
        recipe_of(replace(built, manifest=manifest))
    sentence = str(error.value)
    assert sentence.startswith(f"the recipe of {built.directory} cannot be used ({wrong}")
    assert sentence.endswith("): build the model again") and "\n" not in sentence
