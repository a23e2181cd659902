"""Spike trains against golden's codings, for every count."""

import random

import pytest
import torch

from golden.encoding import encode
from hw.isa import Coding
from hw.presets import preset
from hw.train import SpikeTrain, train_layout
from tests.harness.streams import collect, feed, simulate

PARAMS = preset("test")


@pytest.mark.parametrize("coding", list(Coding))
def test_every_count(coding, seed):
    rng = random.Random(seed)
    counts = list(range(-127, 128))
    pairs = [(n, rng.choice(counts)) for n in counts if n]
    pairs += [(0, n) for n in (-127, 1, 127)]
    dut = SpikeTrain(PARAMS)
    taken = []

    async def drive(ctx):
        ctx.set(dut.coding, coding)
        payloads = [{"channel": 1, "counts": pair, "end": 0} for pair in pairs]
        await feed(ctx, dut.i, payloads, rng, idle=0.3)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(pairs), rng, stall=0.3))

    simulate(dut, drive, check)
    time_steps = 127 if coding == Coding.UNARY else 8
    for pair, raw in zip(pairs, taken, strict=True):
        train = train_layout(PARAMS).from_bits(raw)
        spikes = encode(torch.tensor(pair), coding.name.lower(), time_steps).tolist()
        fires = [t for t in range(time_steps) if any(spikes[t])]
        if coding == Coding.UNARY:
            assert train.steps == len(fires) == max(abs(n) for n in pair)
            for token, n in enumerate(pair):
                assert train.plus[token] == sum(abs(s[token]) for s in spikes)
                assert n == 0 or train.minus[token] == (n < 0)
        else:
            assert train.steps == sum(1 << t for t in fires)
            for token in range(2):
                for t in range(time_steps):
                    digit = (train.plus[token] >> t & 1) - (train.minus[token] >> t & 1)
                    assert digit == spikes[t][token], (pair, token, t)
