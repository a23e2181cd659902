"""The programs of two devices in RTL, one start after the other; the exchanges are simulated."""

import pytest

from compiler.programs.devices import build_devices
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.cycle.device import Cycle
from sim.device import Registers, Timing
from sim.scale.host import execute
from sim.scale.link import Interconnect, Link
from tests.compiler.models import RandomCheckpoint, recipe


@pytest.mark.full  # a minute: 24 starts
def test_segments_in_rtl_are_those_of_the_cycle_device(rtl, seed, tmp_path):
    """Memories and every counter, cycles among them, of two positions."""
    shards = build_devices(
        RandomCheckpoint(seed, layers=1, qkv_bias=False),
        tmp_path / "m",
        devices=2,
        params=preset("test"),
        recipe=recipe(),
        context=8,
    ).shards
    seen = []
    for device in (Cycle(timing=Timing()), rtl):
        memories = [shard.image({}) for shard in shards]
        for shard, memory in zip(shards, memories, strict=True):
            shard.token_words(memory)[0] = 5
        progress = execute(
            shards,
            memories,
            Registers(prompt_end=1, end_position=2),
            Interconnect(shards, memories, Link()),
            lambda _start, _at, device=device: device,
        )
        assert progress.error is Error.NONE
        seen.append((progress, [memory.tobytes() for memory in memories]))
    (want, want_memories), (got, got_memories) = seen
    assert got_memories == want_memories
    assert got.counters == want.counters and got.cycles == want.cycles
