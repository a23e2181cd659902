"""Spike trains against golden's codings, for every count."""

import random

import pytest
import torch

from golden.numerics.codings import encode
from hw.contract.isa import Coding
from hw.contract.presets import preset
from hw.spike.train import SpikeTrain, train_layout
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
        ctx.set(dut.i_coding.payload, coding)
        ctx.set(dut.i_coding.valid, 1)
        payloads = [{"channel": 1, "counts": pair, "end": 0, "last": 0} for pair in pairs]
        await feed(ctx, dut.i, payloads, rng, idle=0.3)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(pairs), rng, stall=0.3))

    simulate(dut, drive, check)
    time_steps = 127 if coding == Coding.UNARY else 8
    for pair, raw in zip(pairs, taken, strict=True):
        train = train_layout(PARAMS).from_bits(raw)
        spikes = encode(torch.tensor(pair), coding.name.lower(), time_steps).tolist()
        fires = [t for t in range(time_steps) if any(spikes[t])]
        assert train.single == (len(fires) == 1)
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


def test_each_matmul_has_its_own_coding(seed):
    """Codings change with the last end mark, not with any other."""
    rng = random.Random(seed)
    codings = [Coding.CSD, Coding.UNARY, Coding.BITWISE, Coding.CSD]
    event = {"channel": 0, "counts": (7, 0), "end": 0, "last": 0}
    marks = [{**event, "end": 1, "last": last} for last in (0, 1)]
    dut = SpikeTrain(PARAMS)
    taken = []

    async def drive(ctx):
        await feed(ctx, dut.i, [event, marks[0], event, marks[1]] * len(codings), rng, idle=0.2)

    async def drive_codings(ctx):
        await feed(ctx, dut.i_coding, codings, rng, idle=0.8)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, 4 * len(codings), rng, stall=0.2))

    simulate(dut, drive, drive_codings, check)
    trains = [train_layout(PARAMS).from_bits(raw) for raw in taken]
    plus = {Coding.CSD: 8, Coding.UNARY: 7, Coding.BITWISE: 7}
    minus = {Coding.CSD: 1, Coding.UNARY: 0, Coding.BITWISE: 0}
    for index, train in enumerate(trains):
        assert (train.end, train.last) == (index % 2, index % 4 == 3)
        if not train.end:
            coding = codings[index // 4]
            assert (train.plus[0], train.minus[0]) == (plus[coding], minus[coding])


def test_a_group_s_mark_has_the_sum_of_its_events(seed):
    rng = random.Random(seed)
    limit = 127 << PARAMS.max_shift
    given, expected = [], []
    for _ in range(30):
        counts = [
            tuple(rng.choice([-limit, limit, rng.randint(-limit, limit), 0]) for _ in range(2))
            for _ in range(rng.choice([1, 2, 40, 128]))
        ]
        if rng.random() < 0.3:
            counts = [(limit, -limit)] * 128
        given += [{"channel": 0, "counts": pair} for pair in counts]
        given.append({"channel": 0, "counts": (5, 5), "group_end": 1})
        expected.append([sum(pair[token] for pair in counts) for token in range(2)])
        if rng.random() < 0.3:
            given.append({"channel": 0, "counts": (7, 7), "end": 1, "last": 0})
    dut = SpikeTrain(PARAMS)
    sums = []

    async def drive(ctx):
        ctx.set(dut.i_coding.payload, Coding.CSD)
        ctx.set(dut.i_coding.valid, 1)
        await feed(ctx, dut.i, given, rng, idle=0.2)

    async def check(ctx):
        for _ in given:
            while rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.o.ready, 1)
            taken = False
            while not taken:
                _, _, taken, payload, seen = await ctx.tick().sample(
                    dut.o.valid, dut.o.payload, dut.spike_sums
                )
            ctx.set(dut.o.ready, 0)
            if payload.group_end:
                sums.append([seen[token] for token in range(2)])

    simulate(dut, drive, check)
    assert sums == expected
