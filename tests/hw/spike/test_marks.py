"""Marks of groups among events: one behind each group's last event, and nothing else is changed."""

import random

import pytest

from hw.contract.params import GROUPS
from hw.contract.presets import preset
from hw.spike.marks import GroupMarks, marked_layout
from tests.harness.streams import collect, feed, simulate

PARAMS = preset("test")
END = PARAMS.max_channels


def walk(rng, group, tiles):
    """Return what goes in and what must come out, for the tiles of a MATMUL."""
    given, expected = [], []
    size = GROUPS[group - 1] if group else None
    for tile in range(tiles):
        chosen = sorted(rng.sample(range(END), rng.choice([0, 1, 2, 9, 40])))
        if rng.random() < 0.5:  # far apart: by as much as a channel's number holds
            chosen = [0, *(1 << b for b in range(11) if rng.random() < 0.8)]
        last = None
        for channel in chosen:
            if size and last is not None and channel // size != last // size:
                expected.append(("mark", last))
            event = {"channel": channel, "counts": (rng.randint(-9, 9), 1), "end": 0, "last": 0}
            given.append(event)
            expected.append(("event", channel, event["counts"]))
            last = channel
        if size and last is not None:
            expected.append(("mark", last))
        given.append({"channel": END, "counts": (0, 0), "end": 1, "last": tile == tiles - 1})
        expected.append(("end", END, tile == tiles - 1))
    return given, expected


@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.4, 0.4)])
def test_every_group_with_events_has_one_mark(idle, stall, seed):
    rng = random.Random(seed)
    groups = [0, 1, 2, 3, 4, *(rng.randint(0, 4) for _ in range(20))]
    walks = [walk(rng, group, rng.randint(1, 3)) for group in groups]
    expected = [item for _, items in walks for item in items]
    dut = GroupMarks(PARAMS)
    taken = []

    async def drive_groups(ctx):
        await feed(ctx, dut.i_group, groups, rng, idle)

    async def drive(ctx):
        await feed(ctx, dut.i, [event for events, _ in walks for event in events], rng, idle)

    async def check(ctx):
        taken.extend(await collect(ctx, dut.o, len(expected), rng, stall))

    simulate(dut, drive_groups, drive, check)
    got = []
    for raw in taken:
        event = marked_layout(PARAMS).from_bits(raw)
        if event.group_end:
            assert not event.end and not event.last
            got.append(("mark", event.channel))
        elif event.end:
            got.append(("end", event.channel, bool(event.last)))
        else:
            got.append(("event", event.channel, tuple(event.counts[t] for t in range(2))))
    assert got == expected
