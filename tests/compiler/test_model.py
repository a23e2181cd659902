"""A whole model's program: its loop, its memory map, and its manifest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.artifact.listing import listing
from compiler.passes.program import image_of_model
from compiler.passes.schedule import schedule, slots_of_layer
from compiler.programs.model import build_model
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings
from hw.contract import isa
from hw.contract.isa import Coding, Opcode, VectorOp
from tests.compiler.models import RandomCheckpoint, hardware, recipe
from tests.compiler.whole import PARAMS, executed_ranges, region_at, whole

LAYERED = dict(layered=0)


_ADDRESSES = {
    opcode: [name for name, field in layout if getattr(field, "width", 0) == 40]
    for opcode, layout in isa.INSTRUCTIONS.items()
}


def slots_of(program):
    return [isa.assemble(step.opcode, **step.fields) for step in program.instructions]


def mixed_recipe() -> Recipe:
    """Return a recipe in which layer 1 differs wherever it may."""
    return Recipe(
        "mixed",
        SiteSettings(),
        {"down": SiteSettings(rule="mean", kappa=3.0)},
        {
            (1, "qkv"): SiteSettings(weight_bits=4, max_count=15),
            (1, "o"): SiteSettings(weight_bits=2, dead_zone=0.1),
            (1, "down"): SiteSettings(rule="static", peak=3.0),
            (1, "query"): SiteSettings(max_count=31),
            (1, "probabilities"): SiteSettings(clip=0.5),
        },
    )


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_each_layer_executes_what_an_unrolled_schedule_would(layers, qk_norm):
    chosen = mixed_recipe() if layers > 1 else recipe()
    model = whole(recipe_=chosen, layers=layers, qk_norm=qk_norm)
    image = image_of_model(model, PARAMS, "csd")
    program, regions = image.program, image.regions
    slots, records = (
        slots_of(program),
        [
            program.records[at : at + isa.SLOT_BYTES]
            for at in range(0, len(program.records), isa.SLOT_BYTES)
        ],
    )
    token, copy, loop, *_ = ((s.opcode, s.fields) for s in program.instructions)
    assert token[0] is Opcode.TOKEN and copy[1]["operation"] == VectorOp.COPY.value
    assert loop[0] is Opcode.LAYERS
    assert loop[1]["slots"] == slots_of_layer(model.config, PARAMS)
    assert (loop[1]["layers"], loop[1]["record_count"]) == (layers, len(records))
    assert ("records" in regions) == bool(records) == (layers > 1)
    if records:
        assert loop[1]["records"] == regions["records"].address

    executed = []
    for _ in range(layers):
        for at in range(3, 3 + loop[1]["slots"]):
            opcode, fields = isa.disassemble(slots[at])
            if fields["layered"]:
                record = records.pop(0)
                raw = bytes(a ^ b for a, b in zip(slots[at], record, strict=True))
                opcode, fields = isa.disassemble(raw)
            executed.append((opcode, fields | LAYERED))
    assert not records
    unrolled = schedule(model, regions, PARAMS, Coding.CSD)
    for (opcode, fields), step in zip(
        executed, [step for layer in unrolled.layers for step in layer], strict=True
    ):
        wanted = dict.fromkeys(isa.MODIFIERS, 0) | step.fields
        assert (opcode, fields) == (step.opcode, wanted)


def test_slots_in_which_layers_do_not_differ_have_no_record():
    model = whole(layers=3)
    image = image_of_model(model, PARAMS, "csd")
    program, regions = image.program, image.regions
    body = [step for step in program.instructions if step.fields.get("layered")]
    assert len(program.records) == 3 * len(body) * isa.SLOT_BYTES
    assert program.records[: len(body) * isa.SLOT_BYTES] == bytes(len(body) * isa.SLOT_BYTES)
    for step in body:
        named = {**step.fields}
        addresses = [value for name, value in named.items() if name in _ADDRESSES[step.opcode]]
        of_layers = [region_at(regions, address).startswith("layers.0.") for address in addresses]
        assert any(of_layers)
    own = image_of_model(whole(layers=1), PARAMS, "csd").program
    assert own.records == b"" and [s for s in own.instructions if s.fields.get("layered")] == []


def test_the_end_of_a_token_goes_back_to_its_beginning():
    program = image_of_model(whole(), PARAMS, "csd").program
    *_, back, end = program.instructions
    assert (back.opcode, end.opcode) == (Opcode.NEXT, Opcode.END)
    assert back.fields["slots"] == len(program.instructions) - 2  # where NEXT itself stands
    at = next(i for i, s in enumerate(program.instructions) if s.opcode is Opcode.PREFILL)
    skipped = program.instructions[at + 1 : at + 1 + program.instructions[at].fields["slots"]]
    assert skipped[-1].fields["operation"] == VectorOp.ARGMAX.value
    assert program.instructions[at + 1 + len(skipped)] is back


@settings(max_examples=40)
@given(
    params=hardware(),
    context=st.integers(1, 64),
    layers=st.integers(1, 3),
    heads=st.sampled_from([(1, 1), (6, 2), (4, 4), (5, 1)]),
    qk_norm=st.booleans(),
)
def test_regions_are_aligned_and_apart(params, context, layers, heads, qk_norm):
    shape = dict(heads=heads[0], kv_heads=heads[1], head_dim=8, hidden_size=40, ffn_size=50)
    if params.tile_outputs < 8:
        return
    model = whole(params, context=context, layers=layers, qk_norm=qk_norm, **shape)
    image = image_of_model(model, params, "csd")
    program, regions = image.program, image.regions
    end = 0
    for region in regions.values():
        assert region.address % 4096 == 0
        assert region.address >= end
        end = region.address + region.bytes
    assert [*regions][-1] == "records" or layers == 1
    assert regions["program"].bytes == 64 + 32 * len(program.instructions)
    for ranges in executed_ranges(model, params, program, regions, position=context - 1):
        for first, bytes_ in (*ranges.reads, *ranges.writes):
            name = region_at(regions, first)
            assert first + bytes_ <= regions[name].address + regions[name].bytes, name


def test_the_manifest_of_a_model(tmp_path):
    compiled = build_model(
        RandomCheckpoint(0), tmp_path / "m", params=PARAMS, recipe=recipe(), context=40
    )
    manifest = compiled.manifest
    assert (manifest["kind"], compiled.context, compiled.is_model) == ("model", 40, True)
    kinds = {region.kind for region in compiled.regions.values()}
    assert kinds == {
        "program", "records", "tokens", "constants", "vectors", "cache", "weights", "channel_words",
    }  # fmt: skip
    filled = {region.kind for name, region in compiled.regions.items() if name in compiled.contents}
    assert filled == {"program", "records", "constants", "weights", "channel_words"}
    image = compiled.image({})
    assert compiled.token_words(image).shape == (41,)
    steps = manifest["operations"]
    assert [s["matrix"] for s in steps if s["operation"] == "MATMUL"][-1] == "lm_head"
    instructions = compiled.instructions()
    for step in steps:
        (slot,) = step["instructions"]
        assert instructions[slot][0].name == step["operation"]
    assert "layered" in listing(compiled) and "=layers.0.keys" in listing(compiled)
