"""The pipelines of the vector unit: how many moves a word takes, and that nothing else moves it."""

from dataclasses import replace

import pytest
from amaranth import Module

from hw.common.component import Component
from hw.contract.presets import preset
from hw.vector.argmax import Argmax
from hw.vector.elementwise import Adder, Rotator, SwiGlu
from hw.vector.multiply import MULTIPLIER_STAGES, Multipliers
from hw.vector.norm import Norm
from hw.vector.softmax import Softmax
from tests.harness.streams import simulate

TEST = preset("test")
LATENCIES = {Adder: 1, Rotator: 6, SwiGlu: 14, Norm: 11, Softmax: 18}
GATHERING = {Norm: 5, Softmax: 11, Argmax: 3}


class Multiplying(Component):
    """A pipeline with its multipliers."""

    def __init__(self, block, multipliers) -> None:
        self._block, self._multipliers = block, multipliers
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self._block
        m.submodules.multipliers = multipliers = self._multipliers
        m.d.comb += [
            multipliers.move.eq(block.move),
            multipliers.factors.eq(block.factors),
            block.products.eq(multipliers.products),
        ]
        return m


def built(pipeline, params):
    block = pipeline(params)
    return block, Multiplying(block, Multipliers(params)) if hasattr(block, "factors") else block


@pytest.mark.parametrize("pipeline", LATENCIES)
def test_latency(pipeline):
    dut, whole = built(pipeline, TEST)

    async def check(ctx):
        ctx.set(dut.move, 1)
        ctx.set(dut.i_valid, 1)
        for moves in range(1, LATENCIES[pipeline] + 5):
            await ctx.tick()
            ctx.set(dut.i_valid, 0)
            assert ctx.get(dut.o_valid) == (moves == LATENCIES[pipeline])
            assert ctx.get(dut.busy) == (moves <= LATENCIES[pipeline])
        ctx.set(dut.i_valid, 1)
        await ctx.tick()
        ctx.set(dut.move, 0)
        for _ in range(30):
            await ctx.tick()
            assert ctx.get(dut.busy)
            assert ctx.get(dut.o_valid) == (LATENCIES[pipeline] == 1)

    simulate(whole, check)


@pytest.mark.parametrize("pipeline", GATHERING)
def test_what_is_gathered_is_complete_when_nothing_is(pipeline):
    dut, whole = built(pipeline, TEST)
    gathered = {Norm: "squares", Softmax: "total", Argmax: "largest"}[pipeline]

    async def check(ctx):
        if pipeline is not Argmax:
            ctx.set(dut.sums, 1)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.inside, 1)
        ctx.set(dut.a[0], 1 << 16)
        ctx.set(dut.move, 1)
        ctx.set(dut.i_valid, 1)
        for moves in range(1, GATHERING[pipeline] + 3):
            await ctx.tick()
            ctx.set(dut.i_valid, 0)
            assert ctx.get(dut.gathers) == (moves < GATHERING[pipeline])
            assert (ctx.get(getattr(dut, gathered)) != 0) == (moves >= GATHERING[pipeline])

    simulate(whole, check)


@pytest.mark.parametrize("width, moves", [(64, 3), (128, 4), (256, 5)])
def test_the_largest_takes_a_move_more_for_each_doubling(width, moves):
    params = replace(TEST, axi_data_width=width, banks=width // 16)
    dut = Argmax(params)

    async def check(ctx):
        ctx.set(dut.inside, -1)
        for lane in range(params.encode_lanes):
            ctx.set(dut.a[lane], 5 if lane in (1, params.encode_lanes - 1) else -3)
        ctx.set(dut.group, 7)
        ctx.set(dut.move, 1)
        ctx.set(dut.i_valid, 1)
        for move in range(1, moves + 1):
            assert not move > 1 or ctx.get(dut.gathers)
            await ctx.tick()
            ctx.set(dut.i_valid, 0)
        assert not ctx.get(dut.gathers)
        assert ctx.get(dut.largest) == 5
        assert ctx.get(dut.index) == 7 * params.encode_lanes + 1

    simulate(dut, check)


def test_products_of_factors():
    dut = Multipliers(TEST)

    async def check(ctx):
        ctx.set(dut.move, 1)
        for x in (-(1 << 32), (1 << 32) - 1, -1, 12345):
            for number in range(len(dut.factors)):
                ctx.set(dut.factors[number], {"x": x, "y": x ^ number})
            for _ in range(MULTIPLIER_STAGES):
                await ctx.tick()
            for number in range(len(dut.factors)):
                assert ctx.get(dut.products[number]) == x * (x ^ number)

    simulate(dut, check)
