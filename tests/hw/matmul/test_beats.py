"""Beats: every weight width, in the order of the lanes, at the speed of memory."""

import random

import pytest

from hw.contract.presets import PRESETS
from hw.matmul.beats import Beats, beat_layout
from tests.harness.streams import collect, feed, simulate


@pytest.mark.parametrize("name", ["test", "edge"])
@pytest.mark.parametrize("width", [8, 4, 2])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_weights_come_out_in_order(name, width, stall, seed):
    params = PRESETS[name]
    rng = random.Random(seed)
    per_word = params.axi_data_width // width
    words = 4 * params.row_words(params.tile_outputs, width)
    half = 1 << width - 1
    weights = [rng.randrange(-half, half) for _ in range(words * per_word)]
    payloads = [
        sum((w % (1 << width)) << width * i for i, w in enumerate(weights[start:][:per_word]))
        for start in range(0, len(weights), per_word)
    ]
    beats = len(weights) // params.lanes
    dut = Beats(params)
    taken, cycles = [], [0]

    row_words = params.row_words(params.tile_outputs, width)
    rows = [{"words": row_words, "weight_width": width}] * -(-words // row_words)

    async def drive_rows(ctx):
        await feed(ctx, dut.i_rows, rows, rng, stall)

    async def drive(ctx):
        await feed(ctx, dut.i, payloads, rng, stall)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, beats, rng, stall))

    async def count(ctx):
        while len(taken) < beats:
            cycles[0] += 1
            await ctx.tick()

    simulate(dut, drive_rows, drive, check, count)
    layout = beat_layout(params)
    got = [layout.from_bits(raw)[lane] for raw in taken for lane in range(params.lanes)]
    assert got == weights
    if not stall:
        assert cycles[0] <= max(words, beats) + 5


def test_each_row_has_its_own_width(seed):
    """Rows of other widths follow each other without a word or a beat lost."""
    params = PRESETS["edge"]
    rng = random.Random(seed)
    rows, words, expected = [], [], []
    for _ in range(30):
        width = rng.choice(params.weight_widths)
        outputs = rng.choice([1, params.lanes + 1, params.tile_outputs])
        row_words = params.row_words(outputs, width)
        rows.append({"words": row_words, "weight_width": width})
        for _ in range(row_words):
            words.append(rng.getrandbits(params.axi_data_width))
        bits = sum(word << 128 * i for i, word in enumerate(words[-row_words:]))
        for _ in range(params.axi_data_width * row_words // width):
            code = bits & (1 << width) - 1
            expected.append(code - (code >> width - 1 << width))
            bits >>= width
    beats = len(expected) // params.lanes
    dut = Beats(params)
    taken = []

    async def drive_rows(ctx):
        await feed(ctx, dut.i_rows, rows, rng, 0.3)

    async def drive(ctx):
        await feed(ctx, dut.i, words, rng, 0.3)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, beats, rng, 0.3))

    simulate(dut, drive_rows, drive, check)
    layout = beat_layout(params)
    assert [layout.from_bits(raw)[n] for raw in taken for n in range(params.lanes)] == expected
