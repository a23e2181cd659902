"""The memory map and the order of instructions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.passes.lower import lower
from compiler.passes.place import place_layers
from compiler.passes.program import image_of_layers
from compiler.passes.schedule import rounds
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, hardware, one_matrix, recipe

STAGES = lower(RandomCheckpoint(0).config, ["attn0", "mlp1", "lm_head"], recipe())


@given(params=hardware(), tokens=st.integers(1, 9))
def test_regions_are_aligned_and_apart(params, tokens):
    regions = place_layers(STAGES, replace(params, max_channels=128), tokens=tokens, slots=9)
    end = 0
    for region in regions.values():
        assert region.address % 4096 == 0
        assert region.address >= end
        assert region.bytes > 0
        end = region.address + region.bytes
    kinds = [region.kind for region in regions.values()]
    assert [kinds.count(k) for k in ("program", "input", "output")] == [1, 5, 8]
    assert kinds.count("weights") == kinds.count("channel_words") == 8


def test_memory_that_cannot_be_addressed_is_refused():
    params = replace(preset("test"), axi_addr_width=16)
    with pytest.raises(ValueError) as error:
        place_layers(one_matrix(300, 200), params, tokens=2, slots=3)
    assert str(error.value) == (
        "buffer w.weights needs 60,800 bytes, but of 65,536 bytes of memory only 57,344 are left: "
        "compile fewer layers"
    )
    # A region may end with the very last byte.
    exact = replace(preset("test"), axi_addr_width=16, max_channels=64, tokens=1)
    stages = one_matrix(1024, 48)
    regions = place_layers(stages, exact, tokens=1, slots=3)
    assert regions["w.output"].address + regions["w.output"].bytes == 65536


@given(tokens=st.integers(1, 40), at_once=st.integers(1, 8))
def test_rounds_cover_every_token_once(tokens, at_once):
    batches = rounds(tokens, replace(preset("test"), tokens=at_once))
    assert [t for first, count in batches for t in range(first, first + count)] == list(
        range(tokens)
    )
    assert all(count == at_once for _, count in batches[:-1])


def test_each_round_encodes_once_for_all_matrices_of_a_site():
    params = preset("edge")
    image = image_of_layers(STAGES, params, "csd", 5)
    regions, program = image.regions, image.program.instructions
    assert regions["program"].bytes == 64 + 32 * len(program)
    rows = [(step.tensor, step.row) for step in program[:8]]
    assert rows[::4] == [("layers.0.qkv.counts", 0), ("layers.0.qkv.counts", 2)]
    assert rows[5:8] == [(f"layers.0.{name}", 2) for name in "qkv"]
    first = program[: 3 * 4]
    assert [step.opcode for step in first] == [Opcode.ENCODE, *[Opcode.MATMUL] * 3] * 3
    assert [step.fields["tokens"] for step in first[::4]] == [2, 2, 1]
    stride = params.vector_bytes(36)
    sources = [step.fields["source"] for step in first[::4]]
    assert sources == [regions["layers.0.qkv.input"].address + stride * m for m in (0, 2, 4)]
    assert program[-1].opcode is Opcode.END
