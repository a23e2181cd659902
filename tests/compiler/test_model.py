"""A whole model's program: its memory map, its loop, its fences, and what is refused."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.model.build import build_model, program_of
from compiler.model.lower import lower
from compiler.model.schedule import schedule
from golden.recipe import Recipe
from golden.settings import SiteSettings
from hw import isa
from hw.isa import Coding, Opcode, VectorOp
from hw.presets import preset
from tests.compiler.models import RandomCheckpoint, hardware, recipe

PARAMS = preset("test")
LAYERED = dict(layered=0)


def whole(params=PARAMS, recipe_=None, context=40, **changes):
    config = RandomCheckpoint(0, **changes).config
    return lower(config, recipe_ or recipe(), params, context)


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


# The loop


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_each_layer_executes_what_an_unrolled_schedule_would(layers, qk_norm):
    chosen = mixed_recipe() if layers > 1 else recipe()
    model = whole(recipe_=chosen, layers=layers, qk_norm=qk_norm)
    program, regions = program_of(model, PARAMS, "csd")
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
    assert (loop[1]["layers"], loop[1]["record_count"]) == (layers, len(records))
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
    program, regions = program_of(model, PARAMS, "csd")
    body = [step for step in program.instructions if step.fields.get("layered")]
    assert len(program.records) == 3 * len(body) * isa.SLOT_BYTES
    assert program.records[: len(body) * isa.SLOT_BYTES] == bytes(len(body) * isa.SLOT_BYTES)
    for step in body:
        named = {**step.fields}
        addresses = [value for name, value in named.items() if name in _ADDRESSES[step.opcode]]
        of_layers = [_region_at(regions, address).startswith("layers.0.") for address in addresses]
        assert any(of_layers)
    own = program_of(whole(layers=1), PARAMS, "csd")[0]
    assert own.records == b""


def test_the_end_of_a_token_goes_back_to_its_beginning():
    program = program_of(whole(), PARAMS, "csd")[0]
    *_, back, end = program.instructions
    assert (back.opcode, end.opcode) == (Opcode.NEXT, Opcode.END)
    assert back.fields["slots"] == len(program.instructions) - 2  # where NEXT itself stands
    at = next(i for i, s in enumerate(program.instructions) if s.opcode is Opcode.PREFILL)
    skipped = program.instructions[at + 1 : at + 1 + program.instructions[at].fields["slots"]]
    assert skipped[-1].fields["operation"] == VectorOp.ARGMAX.value
    assert program.instructions[at + 1 + len(skipped)] is back


# The memory map


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
    program, regions = program_of(model, params, "csd")
    end = 0
    for region in regions.values():
        assert region.address % 4096 == 0
        assert region.address >= end
        end = region.address + region.bytes
    assert [*regions][-1] == "records"
    assert regions["program"].bytes == 64 + 32 * len(program.instructions)
    for ranges in _executed_ranges(model, params, program, regions, position=context - 1):
        for first, bytes_ in (*ranges.reads, *ranges.writes):
            name = _region_at(regions, first)
            assert first + bytes_ <= regions[name].address + regions[name].bytes, name


class _Ranges:
    """What an instruction reads and writes at a position: (first byte, bytes)."""

    def __init__(self, opcode, fields, params, position, channels, tokens):
        f, p = fields, params
        self.opcode, self.fence = opcode, f["fence"]
        self.reads, self.writes = [], []
        self.channels, self.tokens = channels, tokens
        grown = position * f["by_position"]
        if opcode is Opcode.ENCODE:
            self.channels, self.tokens = f["channels"] + grown, f["tokens"]
            for m in range(self.tokens):
                self.reads.append((f["source"] + m * f["source_stride"], 4 * self.channels))
        elif opcode is Opcode.MATMUL:
            outputs = f["outputs"] + grown
            tiles = p.tiles(outputs)
            full = p.row_bytes(p.tile_outputs, f["weight_width"])
            rows = [p.row_bytes(size, f["weight_width"]) for size in tiles]
            strides = [full] * len(tiles) if f["strided"] else rows
            # The last row of a ragged tile ends with its own segment.
            length = channels * sum(strides) - strides[-1] + rows[-1]
            self.reads.append((f["weights"], length))
            words = sum(p.vector_bytes(size) for size in tiles)
            self.reads.append((f["channel_words"], (1 + f["has_bias"]) * words))
            for m in range(tokens):
                self.writes.append((f["destination"] + m * f["destination_stride"], 4 * outputs))
        elif opcode is Opcode.VECTOR:
            elements = f["elements"] + grown
            unary = f["operation"] in (VectorOp.COPY.value, VectorOp.ARGMAX.value)
            for r in range(f["rows"]):
                at = r * f["stride"]
                self.reads.append((f["a"] + at, 4 * elements))
                if not unary:
                    b = f["b"] + f["b_by_position"] * position * f["stride"]
                    self.reads.append((b + (0 if f["b_same"] else at), 4 * elements))
                if f["operation"] == VectorOp.ARGMAX.value:
                    self.writes.append((f["destination"] + 4 * (position + 1), 4))
                else:
                    self.writes.append((f["destination"] + at, 4 * elements))
        elif opcode is Opcode.STORE:
            for h in range(f["heads"]):
                self.reads.append((f["source"] + h * f["source_stride"], 4 * f["channels"]))
                self.writes.append((f["scales"] + h * f["scales_stride"] + 4 * position, 4))
                base = f["codes"] + h * f["codes_stride"]
                tile, column = divmod(position, p.tile_outputs)
                if f["cache"] == isa.Cache.VALUE.value:
                    row = p.row_bytes(f["channels"], 8)
                    self.writes.append((base + position * row, f["channels"]))
                else:
                    base += tile * f["channels"] * p.tile_outputs + column
                    for d in range(f["channels"]):
                        self.writes.append((base + d * p.tile_outputs, 1))


def _executed_ranges(model, params, program, regions, position):
    """Return the ranges of a token's instructions, layer after layer."""
    found, channels, tokens = [], 0, 0
    for _, step in program.unrolled:
        fields = dict.fromkeys(isa.MODIFIERS, 0) | step.fields
        found.append(_Ranges(step.opcode, fields, params, position, channels, tokens))
        channels, tokens = found[-1].channels, found[-1].tokens
    return found


def _touch(one, other):
    return any(a < d + e and d < a + b for a, b in one for d, e in other)


def _conflict(earlier, later):
    """Whether `later` must not begin before `earlier` has ended."""
    same_unit = earlier.opcode is later.opcode
    return (
        _touch(earlier.writes, later.reads)
        or _touch(earlier.reads, later.writes)
        or (not same_unit and _touch(earlier.writes, later.writes))
    )


def _conflicts(ranges):
    """Return the pairs of instructions that no fence keeps apart though they touch each other."""
    found, open_ = [], []
    for at, later in enumerate(ranges):
        if later.fence:
            open_ = []
        found += [(before, at) for before in open_ if _conflict(ranges[before], later)]
        open_.append(at)
    return found


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_fences_stand_where_they_must_and_nowhere_else(tokens, qk_norm):
    params = replace(PARAMS, tokens=tokens)
    model = whole(params, layers=3, qk_norm=qk_norm)
    program, regions = program_of(model, params, "csd")
    ranges = _executed_ranges(model, params, program, regions, position=37)
    assert _conflicts(ranges) == []
    for at, step in enumerate(ranges):
        if step.fence:
            step.fence = 0
            assert _conflicts(ranges), f"the fence of instruction {at} keeps nothing apart"
            step.fence = 1


def test_softmax_goes_on_beside_the_products_of_other_heads():
    program = program_of(whole(), PARAMS, "csd")[0]
    names = [step.opcode.name for step in program.instructions]
    fences = [step.fields.get("fence", 0) for step in program.instructions]
    batches = 4  # six query heads on two of keys, two at a time: 2 + 1 each
    softmaxes = [
        i
        for i, s in enumerate(program.instructions)
        if s.fields.get("operation") == VectorOp.SOFTMAX.value and s.opcode is Opcode.VECTOR
    ]
    assert len(softmaxes) == batches
    for before, after in zip(softmaxes, softmaxes[1:], strict=False):
        between = names[before + 1 : after]
        assert between in (["ENCODE", "MATMUL"], ["ENCODE", "MATMUL"] * 2)
        assert not any(fences[before + 1 : after])


_ADDRESSES = {
    opcode: [name for name, field in layout if getattr(field, "width", 0) == 40]
    for opcode, layout in isa.INSTRUCTIONS.items()
}


def _region_at(regions, address):
    return next(
        region.name
        for region in regions.values()
        if region.address <= address < region.address + max(1, region.bytes)
    )


# What is refused


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
    regions = program_of(model, PARAMS, "csd")[1]
    region = regions["layers.1.values"]
    limit = region.address + region.bytes
    with pytest.raises(ValueError) as error:
        program_of(model, PARAMS, "csd", memory=limit - 1)
    assert str(error.value) == (
        f"buffer layers.1.values needs {region.bytes:,} bytes, but of {limit - 1:,} bytes of "
        f"memory only {region.bytes - 1:,} are left: give more memory, a shorter context or fewer "
        "bits of a weight"
    )
    last = regions["records"]
    program_of(model, PARAMS, "csd", memory=last.address + last.bytes)
    with pytest.raises(ValueError, match="^buffer records needs "):
        program_of(model, PARAMS, "csd", memory=last.address + last.bytes - 1)
    with pytest.raises(ValueError, match="^buffer .* but of 65,536 bytes of memory only "):
        program_of(model, replace(PARAMS, axi_addr_width=16), "csd")


def test_a_model_that_is_refused_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="^coding must be one of unary, bitwise, csd, not 'x'$"):
        build_model(RandomCheckpoint(0), tmp_path / "m", params=PARAMS, recipe=recipe(), coding="x")
    assert not list(tmp_path.iterdir())


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
    filled = {region.kind for name, region in compiled.regions.items() if compiled._contents(name)}
    assert filled == {"program", "records", "constants", "weights", "channel_words"}
    image = compiled.image({})
    assert compiled.token_words(image).shape == (41,)
    steps = manifest["operations"]
    assert [s["matrix"] for s in steps if s["operation"] == "MATMUL"][-1] == "lm_head"
    instructions = compiled.instructions()
    for step in steps:
        (slot,) = step["instructions"]
        assert instructions[slot][0].name == step["operation"]
    assert "layered" in compiled.listing() and "=layers.0.keys" in compiled.listing()
