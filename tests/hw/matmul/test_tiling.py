"""The tiling in hardware equals the one in Python, which the compiler uses."""

import itertools
from dataclasses import replace

import pytest

from hw.contract.presets import PRESETS, preset
from hw.matmul.tiling import Tiling
from tests.harness.streams import simulate

VARIANTS = {
    **PRESETS,
    "beats of many words": replace(preset("test"), lanes=64, banks=2),
    "words of many beats": replace(preset("test"), axi_data_width=256, banks=64),
    "one bank": replace(preset("test"), lanes=32, banks=1),
    "4 bits only": replace(preset("test"), axi_data_width=128, weight_widths=(4,)),
}


def outputs_of(params):
    """Every count up to two tiles where tiles are small, and what lies around the larger ones."""
    tile, lanes = params.tile_outputs, params.lanes
    counts = {*range(1, 2 * tile + 2)} if tile <= 64 else {1, 2}
    for edge in (lanes, 2 * lanes, tile - lanes, tile, tile + lanes, 2 * tile, 576, 1536, 49152):
        counts |= {edge - 1, edge, edge + 1}
    counts |= {(1 << 24) - tile, (1 << 24) - 1}
    return sorted(count for count in counts if count > 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_tiling_equals_that_of_the_parameters(name):
    params = VARIANTS[name]
    dut = Tiling(params)

    async def check(ctx):
        for width in params.weight_widths:
            for outputs in outputs_of(params):
                ctx.set(dut.weight_width, width)
                ctx.set(dut.outputs, outputs)
                tiles = -(-outputs // params.tile_outputs)
                last = outputs - (tiles - 1) * params.tile_outputs
                assert ctx.get(dut.o.tiles) == tiles
                assert ctx.get(dut.o.single) == (tiles == 1)
                for extent, size in ((dut.o.full, params.tile_outputs), (dut.o.last, last)):
                    assert ctx.get(extent.outputs) == size
                    assert ctx.get(extent.row_words) == params.row_words(size, width)
                    assert ctx.get(extent.row_beats) == params.row_beats(size, width)

    simulate(dut, check)


@pytest.mark.parametrize("name", VARIANTS)
def test_scales_of_a_group_fill_words(name):
    params = VARIANTS[name]
    dut = Tiling(params)

    async def check(ctx):
        for width_log2, offsets in itertools.product((3, 4), (0, 1)):
            bits = (1 << width_log2) << offsets
            ctx.set(dut.scale_width_log2, width_log2)
            ctx.set(dut.offsets, offsets)
            for outputs in outputs_of(params):
                ctx.set(dut.outputs, outputs)
                last = outputs - (-(-outputs // params.tile_outputs) - 1) * params.tile_outputs
                for extent, size in ((dut.o.full, params.tile_outputs), (dut.o.last, last)):
                    assert ctx.get(extent.scale_words) == params.scale_words(size, bits)

    simulate(dut, check)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_full_tile_has_no_padding(name):
    params = VARIANTS[name]
    for width in params.weight_widths:
        assert params.row_beats(params.tile_outputs, width) == params.banks
        assert params.row_bytes(params.tile_outputs, width) * 8 == params.tile_outputs * width
