"""A model on several devices: the tokens, and every vector, of one device."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.model.build import build_model
from compiler.model.devices import build_devices
from golden.checkpoints import load
from golden.integer import IntegerModel
from golden.recipe import Recipe, load_recipe
from golden.settings import SiteSettings
from hw.presets import preset
from hw.regs import Error
from sim.cycle import Cycle
from sim.device import Registers
from sim.functional import Functional
from sim.rtl import Timing
from sim.scale.compare import differences
from sim.scale.link import Interconnect, Link
from sim.scale.run import execute
from tests.compiler.models import RandomCheckpoint, recipe

PARAMS = preset("test")


class Pair:
    """One model, compiled for one device and for several."""

    def __init__(self, checkpoint, directory, devices, *, params=PARAMS, chosen=None, context=24):
        chosen = chosen or recipe()
        choices = dict(params=params, recipe=chosen, context=context)
        self.one = build_model(checkpoint, directory / "one", **choices)
        self.shards = build_devices(
            checkpoint, directory / "all", devices=devices, **choices
        ).shards

    def run(self, ids, tokens, *, link=None, device=Functional, interconnect=Interconnect):
        """Run both; returns their tokens, where memories differ, and the progress of several."""
        registers = Registers(prompt_end=len(ids), end_position=len(ids) + tokens - 1)
        memory = self.one.image({})
        self.one.token_words(memory)[: len(ids)] = ids
        finished = device().execute(
            memory, self.one.program_address, self.one.params, registers, lambda *_: None
        )
        assert finished.error is Error.NONE
        memories = [shard.image({}) for shard in self.shards]
        for shard, own in zip(self.shards, memories, strict=True):
            shard.token_words(own)[: len(ids)] = ids
        self.told = []
        self.between = interconnect(self.shards, memories, link or Link())
        progress = execute(
            self.shards,
            memories,
            registers,
            self.between,
            lambda _start: device(),
            lambda position, token: self.told.append((position, token)),
        )
        assert progress.error is Error.NONE
        assert progress.position == finished.position
        made = slice(len(ids), len(ids) + tokens)
        self.finished = finished
        return (
            self.one.token_words(memory)[made].tolist(),
            self.shards[0].token_words(memories[0])[made].tolist(),
            differences(self.one, memory, self.shards, memories),
            progress,
        )


SHAPES = {  # devices, changes of the model, and of the hardware
    "two, biases, three queries a key": (2, {}, {}),
    "one": (1, {}, {}),
    "two, uneven heads and an own head": (
        2,
        dict(heads=9, kv_heads=3, qk_norm=True, qkv_bias=False, tied_head=False),
        {"tokens": 4},
    ),
    "three, rows that end within a word": (
        3,
        dict(heads=6, kv_heads=3, hidden_size=37, qk_norm=True),
        {},
    ),
    "four, neighbouring pairs, a key for every query": (
        4,
        dict(rope_interleaved=True, heads=4, kv_heads=4, head_dim=8, qkv_bias=False),
        {"tokens": 1, "axi_data_width": 128, "banks": 8},
    ),
}


@pytest.mark.parametrize(("devices", "changes", "hardware"), SHAPES.values(), ids=SHAPES)
def test_several_devices_leave_what_one_leaves(devices, changes, hardware, seed, rng, tmp_path):
    checkpoint = RandomCheckpoint(seed, **changes)
    pair = Pair(checkpoint, tmp_path, devices, params=replace(PARAMS, **hardware))
    ids = rng.integers(0, checkpoint.config.vocab_size, 4).tolist()
    want, made, differ, _ = pair.run(ids, 12)
    assert made == want == IntegerModel(checkpoint, recipe()).generate(ids, 12)
    assert pair.told == [*enumerate(want, 4)]
    assert differ == []
