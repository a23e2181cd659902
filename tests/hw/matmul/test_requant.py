"""The requantizer against golden."""

import random

import pytest
import torch

from golden.numerics.requantization import requantize
from golden.numerics.weights import QuantizedWeight
from hw.contract.presets import preset
from hw.matmul.requant import Requantizer
from tests.harness.streams import collect, feed, simulate

PARAMS = preset("test")
LARGEST = 127 * 127 * PARAMS.max_channels


def cases(rng):
    """(psum, V, mantissa, exponent, bias), corners first."""
    corners = []
    for psum in (0, 1, -1, LARGEST, -LARGEST):
        for v in (1 << 24, (1 << 56) - 1):
            for mantissa, exponent in ((0, 8), (1 << 15, 8), (65535, 8), (1 << 15, 71)):
                for bias in (0, 2**31 - 1, -(2**31)):
                    corners.append((psum, v, mantissa, exponent, bias))
    for _ in range(1500):
        psum = rng.randint(-LARGEST, LARGEST) >> rng.randint(0, 27)
        v = rng.randrange(1 << 24, 1 << rng.randint(25, 56))
        # Most scales bring the result into range; ties need few significant bits.
        mantissa = rng.choice([1 << 15, 3 << 14, rng.randrange(1 << 15, 1 << 16)])
        exponent = rng.randint(8, 71)
        if rng.random() < 0.3:
            v = 1 << rng.randint(24, 55)
            psum = rng.randint(-2000, 2000)
            exponent = min(71, max(8, 15 + v.bit_length() - 25 + rng.randint(0, 12)))
        bias = rng.choice([0, rng.randint(-(2**31), 2**31 - 1) >> rng.randint(0, 31)])
        corners.append((psum, v, mantissa, exponent, bias))
    return corners


def golden_of(case):
    psum, v, mantissa, exponent, bias = case
    weight = QuantizedWeight(
        torch.zeros(1, 1, dtype=torch.int8), torch.tensor([mantissa]), torch.tensor([exponent]), 8
    )
    bias = torch.tensor([bias], dtype=torch.int64).to(torch.int32)
    return int(requantize(torch.tensor([[psum]]), torch.tensor([v]), weight, bias)[0, 0])


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_requantizer_equals_golden(stall, seed):
    rng = random.Random(seed)
    chosen = cases(rng)
    dut = Requantizer(PARAMS)
    taken = []

    def payload(case):
        psum, v, mantissa, exponent, bias = case
        shift = v.bit_length() - 16
        return {
            "psum": psum,
            "threshold": {"mantissa": v >> shift, "exponent": shift},
            "channel": {"mantissa": mantissa, "exponent": exponent, "bias": bias},
        }

    async def drive(ctx):
        await feed(ctx, dut.i, [payload(case) for case in chosen], rng, idle=stall)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(chosen), rng, stall))

    simulate(dut, drive, check)
    for case, got in zip(chosen, taken, strict=True):
        assert got == golden_of(case), case


def test_one_element_a_cycle_after_eight():
    dut = Requantizer(PARAMS)

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for _ in range(8):
            assert not ctx.get(dut.o.valid)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
        for _ in range(20):
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, check)
