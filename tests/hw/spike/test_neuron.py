"""The integrate-and-fire neuron against golden."""

import random

import torch

from golden.numerics.neuron import Site, fire
from hw.contract.presets import preset
from hw.spike.neuron import Neuron, levels
from tests.harness.streams import simulate

PARAMS = preset("test")


def run(inputs, v, max_count, dead_zone, level=0):
    """Pass `inputs` through a neuron, one a cycle; return the counts and the latency seen."""
    dut = Neuron(PARAMS)
    counts, latency = [], []

    async def check(ctx):
        ctx.set(dut.threshold, v)
        ctx.set(dut.offset, v - (v << PARAMS.count_width))
        ctx.set(dut.max_count, max_count)
        ctx.set(dut.dead_zone, dead_zone)
        for cycle in range(len(inputs) + Neuron.latency(PARAMS)):
            ctx.set(dut.i_valid, cycle < len(inputs))
            if cycle < len(inputs):
                value = inputs[cycle]
                fine = abs(value) << levels(PARAMS) >> level
                ctx.set(dut.i, {"magnitude": abs(value), "fine": fine, "negative": value < 0})
            await ctx.tick()
            if ctx.get(dut.o_valid):
                latency.append(cycle + 1 - len(counts))
                counts.append(ctx.get(dut.o))

    simulate(dut, check)
    assert set(latency) == {Neuron.latency(PARAMS)}
    return counts


def around_thresholds(v, max_count):
    """Return inputs at, just below and just above every half-integer multiple of a threshold."""
    values = []
    for count in range(1, max_count + 2):
        edge = ((2 * count - 1) * v) >> 25
        values += [edge - 1, edge, edge + 1]
    return [sign * value for value in values if value < 2**31 for sign in (1, -1)]


def test_neuron_equals_golden(seed):
    rng = random.Random(seed)
    for max_count in (1, 2, 7, 100, 127):
        v = rng.randrange(1 << 24, 1 << rng.randint(25, 50))
        inputs = around_thresholds(v, max_count)
        inputs += [0, 2**31 - 1, -(2**31), 1, -1]
        inputs += [rng.randint(-(2**31), 2**31 - 1) >> rng.randint(0, 31) for _ in range(200)]
        dead_zone = rng.choice([0, 1, abs(rng.choice(inputs)), 2**31])
        site = Site("absmax", max_count, 256, max_count, 0, dead_zone)
        x = torch.tensor([inputs], dtype=torch.int64).to(torch.int32)
        expected = fire(x, torch.tensor([v]), site)[0].tolist()
        assert run(inputs, v, max_count, dead_zone) == expected
        level = rng.randint(1, levels(PARAMS))
        expected = fire(x, torch.tensor([v << level]), site)[0].tolist()
        assert run(inputs, v, max_count, dead_zone, level) == expected


def test_an_input_that_holds_its_thresholds_exactly_fires(seed):
    """With v a multiple of 2 lsb, half-integer multiples of v are inputs."""
    v = random.Random(seed).randrange(1, 1 << 22) << 25
    inputs = around_thresholds(v, 127)
    x = torch.tensor([inputs], dtype=torch.int64).to(torch.int32)
    expected = fire(x, torch.tensor([v]), Site("absmax", 127, 256, 127, 0, 0))[0].tolist()
    assert run(inputs, v, 127, 0) == expected


def test_extreme_thresholds():
    for v in (1 << 24, (1 << 56) - 1):
        inputs = [0, 1, -1, 127, 128, 2**31 - 1, -(2**31)]
        x = torch.tensor([inputs], dtype=torch.int64).to(torch.int32)
        expected = fire(x, torch.tensor([v]), Site("absmax", 127, 256, 127, 0, 0))[0].tolist()
        assert run(inputs, v, 127, 0) == expected
