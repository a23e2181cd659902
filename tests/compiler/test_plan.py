"""Plans: the same program and memory map as a build, and a token's time."""

import json
from dataclasses import replace

import pytest

from compiler.artifact.manifest import recipe_entry
from compiler.models.known import KNOWN_MODELS, require_same_shapes
from compiler.models.synthetic import SyntheticCheckpoint
from compiler.predict.activity import assumed
from compiler.predict.costs import costs
from compiler.predict.cycles import CAUSES, predict
from compiler.predict.workload import Activity
from compiler.programs.model import build_model
from compiler.programs.plan import make_plan, write_plan
from golden.checkpoint.checkpoint import load as load_checkpoint
from golden.checkpoint.names import tensor_shapes
from golden.recipe.recipe import load_recipe
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

TEST = preset("test")


def small(**choices):
    """Return a plan of a small model."""
    config = RandomCheckpoint(0, head_dim=8, **choices).config
    return make_plan(config, params=TEST, recipe=recipe(), context=40)


def test_a_plan_has_the_program_and_the_memory_map_of_a_build(tmp_path):
    checkpoint = RandomCheckpoint(1, head_dim=8)
    plan = make_plan(checkpoint.config, params=TEST, recipe=recipe(), context=40)
    built = build_model(checkpoint, tmp_path / "built", params=TEST, recipe=recipe(), context=40)
    planned = write_plan(plan, tmp_path / "planned")
    assert planned.regions == built.regions
    assert planned.instructions() == built.instructions()
    assert planned.manifest["operations"] == built.manifest["operations"]
    assert planned.manifest["weights"] == "none"
    assert planned.manifest["recipe"] == recipe_entry(recipe())
    assert {file.name for file in planned.directory.iterdir()} == {"manifest.json", "program.bin"}


def test_a_plan_does_not_run(tmp_path):
    planned = write_plan(small(), tmp_path / "plan")
    with pytest.raises(ValueError) as error:
        planned.image({})
    assert str(error.value) == (
        f"{tmp_path / 'plan'} is a plan without weights: build it with --checkpoint to run it"
    )


def test_every_instruction_is_costed_once_and_the_dense_words_are_those_of_the_regions():
    plan = small()
    steps = plan.prediction.steps
    assert sorted(step.cost.slot for step in steps) == sorted(
        slot for slot, _ in plan.program.executed
    )
    weights = [s.cost for s in steps if s.cost.opcode is Opcode.MATMUL and s.cost.dense_words]
    for cost in weights:
        if region := plan.regions.get(f"{cost.name}.weights"):
            assert cost.dense_words * TEST.axi_bytes == region.bytes
    # 7 matrices a layer, the head, scores and outputs of each batch of heads
    batches = 2 * 2  # 3 query heads a kv head, 2 at a time
    assert len(weights) == 2 * (7 + 2 * batches) + 1


@pytest.mark.parametrize("silent", [0.0, 0.5, 1.0])
def test_words_and_steps_follow_from_how_channels_fire(silent):
    plan = small()
    firing = Activity(silent=silent, spikes={"csd": 2 * (1 - silent)}, source="of a test")
    found = costs(plan.program, TEST, lambda layer, site: firing, 9)
    (gate,) = (cost for cost in found if cost.name == "layers.1.gate")
    config = plan.config
    row_words = sum(TEST.row_words(n, 8) for n in TEST.tiles(config.ffn_size))
    row_beats = sum(TEST.row_beats(n, 8) for n in TEST.tiles(config.ffn_size))
    events = config.hidden_size * (1 - silent)
    assert gate.weight_words == events * row_words
    assert gate.steps == pytest.approx(events * row_beats * 2)
    assert gate.additions == config.hidden_size * config.ffn_size * 2 * (1 - silent)
    keys = [cost for cost in found if cost.name == "layers.1.keys"]
    expected = config.head_dim * (1 - silent**2) * TEST.row_words(10, 8)
    assert keys[0].weight_words == pytest.approx(expected)
    fetching = replace(TEST, skip_silent=False)
    whole = costs(plan.program, fetching, lambda layer, site: firing, 9)
    assert all(cost.weight_words == cost.dense_words for cost in whole)


def test_time_is_at_least_what_each_unit_needs_and_is_shared_out():
    plan = small()
    found = plan.prediction
    assert found.cycles == pytest.approx(sum(found.causes.values()))
    assert set(found.causes) == set(CAUSES)
    assert found.cycles > found.words
    for unit in (Opcode.ENCODE, Opcode.VECTOR, Opcode.MATMUL):
        spans = sorted((s.start, s.start + s.cycles) for s in found.steps if s.cost.opcode is unit)
        assert all(a[1] <= b[0] + 1e-6 for a, b in zip(spans, spans[1:], strict=False))
        assert spans[-1][1] <= found.cycles
    assert predict([s.cost for s in found.steps], TEST, latency=200).cycles > found.cycles


def test_assumed_sites_fire_as_measured_and_scale_with_their_settings():
    config = KNOWN_MODELS["sdllm-7b"].config
    base = assumed(config, load_recipe("w8"), 1023)
    down = base(3, "down")
    assert "assumed" in down.source and "SmolLM2-135M" in down.source
    assert down.silent == pytest.approx(0.1618, abs=2e-3)  # as was measured with `w8` itself
    coarse = assumed(config, recipe(max_count=15), 1023)(3, "down")
    assert coarse.silent > 2 * down.silent and coarse.spikes["csd"] < down.spikes["csd"]
    assert coarse.spikes["unary"] < down.spikes["unary"]
    near, far = (assumed(config, recipe(), at)(0, "probabilities").silent for at in (0, 4000))
    assert near == 0 < far < 1
    source = assumed(config, recipe(dead_zone=0.1), 0)(0, "o").source
    assert f"dead zones of recipe {recipe().name} are not predicted here: give --profile" in source
    assert "dead" not in down.source


@pytest.mark.parametrize("name", ["smollm2-135m", "stories260k"])
def test_named_shapes_are_those_of_the_weights(request, name):
    checkpoint = load_checkpoint(request.getfixturevalue(name.replace("-", "_")))
    require_same_shapes(name, checkpoint.config, checkpoint.path)
    named = KNOWN_MODELS[name].config
    assert named.rope_theta == checkpoint.config.rope_theta
    assert named.max_positions == checkpoint.config.max_positions


@pytest.mark.parametrize(
    ("name", "parameters"),  # published: 6.74, 13.02, 8.03 and 14.77 billion
    [
        ("sdllm-7b", 6_738_415_616),
        ("sdllm-13b", 13_015_864_320),
        ("sdllm-8b", 8_030_261_248),
        ("sdllm-14b", 14_770_033_664),
    ],
)
def test_named_models_have_as_many_parameters_as_published(name, parameters):
    total = 0
    for shape in tensor_shapes(KNOWN_MODELS[name].config).values():
        size = 1
        for extent in shape:
            size *= extent
        total += size
    assert total == parameters


def test_synthetic_tensors_depend_on_name_and_seed_only():
    config = RandomCheckpoint(0).config
    one, again, other = (SyntheticCheckpoint(config, seed) for seed in (7, 7, 8))
    again.tensor("embed")
    q = one.tensor("layers.1.q")
    assert q.equal(again.tensor("layers.1.q"))
    assert not q.equal(other.tensor("layers.1.q"))
    assert not q.equal(one.tensor("layers.0.q"))
    assert float(q.std()) == pytest.approx(config.hidden_size**-0.5, rel=0.1)
    assert one.tensor("final_norm").eq(1).all()


def test_synthetic_weights_are_said_to_be_so(tmp_path):
    config = RandomCheckpoint(0, head_dim=8).config
    about = {"weights": "synthetic", "seed": 7}
    built = build_model(
        SyntheticCheckpoint(config, 7),
        tmp_path / "model",
        params=TEST,
        recipe=recipe(),
        weights=about,
    )
    manifest = json.loads((built.directory / "manifest.json").read_text())
    assert (manifest["weights"], manifest["seed"]) == ("synthetic", 7)
    assert "checkpoint" not in manifest
