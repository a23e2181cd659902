"""A model on several devices: the tokens, and every vector, of one device."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.programs.devices import build_devices
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.model.integer import IntegerModel
from golden.recipe.recipe import Recipe, load_recipe
from golden.recipe.settings import SiteSettings
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.cycle.device import Cycle
from sim.device import NO_TOKEN, Registers, Timing
from sim.functional.device import Functional
from sim.scale.compare import differences
from sim.scale.host import execute
from sim.scale.link import Interconnect, Link
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

    def run(
        self, ids, tokens, *, link=None, device=Functional, interconnect=Interconnect, stop=NO_TOKEN
    ):
        """Run both; returns their tokens, where memories differ, and the progress of several."""
        registers = Registers(
            prompt_end=len(ids), end_position=len(ids) + tokens - 1, stop_token=stop
        )
        memory = self.one.image({})
        self.one.token_words(memory)[: len(ids)] = ids
        finished = device().execute(
            memory, self.one.program_address, self.one.params, registers, lambda *_: None
        )
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
            lambda _start, _at: device(),
            lambda position, token: self.told.append((position, token)),
        )
        assert progress.error is finished.error
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
    "two, vectors of a single beat": (2, dict(qkv_bias=False), {"lanes": 64}),
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


def test_sites_and_widths_of_a_recipe(seed, rng, tmp_path):
    chosen = Recipe(
        "mixed",
        SiteSettings(max_count=15),
        {"down": SiteSettings(rule="mean", kappa=3.0), "head": SiteSettings(weight_bits=4)},
        {
            (1, "o"): SiteSettings(weight_bits=2, dead_zone=0.01),
            (1, "query"): SiteSettings(max_count=31),
            (0, "probabilities"): SiteSettings(clip=0.5),
        },
    )
    pair = Pair(RandomCheckpoint(seed, tied_head=True, qkv_bias=False), tmp_path, 2, chosen=chosen)
    want, made, differ, _ = pair.run(rng.integers(0, 77, 3).tolist(), 8)
    assert made == want and differ == []


def test_a_story_on_two_devices(stories260k, tmp_path):
    checkpoint = load(stories260k)
    pair = Pair(checkpoint, tmp_path, 2, chosen=load_recipe("w8"), context=40)
    ids = checkpoint.tokenizer.encode("Once upon a time")
    want, made, differ, _ = pair.run(ids, 11)
    assert checkpoint.tokenizer.decode([*ids, *made]).endswith("a little girl named Lily.")
    assert made == want and differ == []


def test_a_text_ends_where_one_device_ends_it(seed, tmp_path):
    pair = Pair(RandomCheckpoint(seed, qkv_bias=False), tmp_path, 2)
    want, *_ = pair.run([1, 2, 3], 8)
    stop = want[4]
    _, _, differ, progress = pair.run([1, 2, stop, 3], 8, stop=stop)
    assert differ == [] and progress.position <= 11
    _, made, differ, progress = pair.run([1, 2, 3], 8, stop=stop)
    assert differ == [] and progress.position == 3 + want.index(stop)
    assert [token for _, token in pair.told] == want[: want.index(stop) + 1]


def test_a_token_beyond_the_vocabulary_ends_the_run(seed, tmp_path):
    pair = Pair(RandomCheckpoint(seed), tmp_path, 2)
    progress = pair.run([1, 77, 3], 2)[-1]
    assert (progress.error, progress.position) == (Error.BAD_TOKEN, 1)
    assert progress.where == "device 0, segment embed"


# What is counted


def test_each_device_reads_its_share_and_adds_its_share(seed, tmp_path):
    """Spikes, so synaptic operations, are those of one device, shared out."""
    pair = Pair(RandomCheckpoint(seed, heads=4, kv_heads=4), tmp_path, 2)
    _, _, _, progress = pair.run([1, 2, 3], 4)
    of_one = pair.finished.counters
    shared = [counters["synaptic_operations"] for counters in progress.counters]
    assert sum(shared) == of_one["synaptic_operations"] and min(shared) > 0
    assert max(shared) < 0.6 * of_one["synaptic_operations"]
    for shard in pair.shards:
        assert shard.weight_bytes < 0.62 * pair.one.weight_bytes
        rows = [step["outputs"] for step in shard.manifest["operations"] if "matrix" in step]
        assert len(rows) == 2 * 7 + 1


@pytest.mark.parametrize("devices", [2, 3])
def test_exchanges_are_counted_byte_by_byte(devices, seed, tmp_path):
    config = dict(hidden_size=36, ffn_size=91, heads=6, kv_heads=3, head_dim=6, vocab_size=77)
    pair = Pair(RandomCheckpoint(seed, **config), tmp_path, devices)
    link = Link(bytes_per_cycle=3, latency=7)
    pair.run([1, 2, 3], 4, link=link)
    positions, heads = 3 + 4 - 1, 4
    vectors = 36 + 2 * (36 + 91 + 36 + 36)  # of one position: x; attention, between, act, x
    in_all = positions * 4 * vectors * (devices - 1) + heads * 8 * devices * (devices - 1)
    assert sum(pair.between.received) == in_all
    assert pair.between.count == positions * (1 + 2 * 4) + heads
    assert pair.between.cycles > 7 * pair.between.count + max(pair.between.received) / 3 - 1


def test_an_exchange_takes_as_long_as_its_busiest_device():
    assert Link(bytes_per_cycle=4, latency=100).cycles(0) == 100
    assert Link(bytes_per_cycle=4, latency=100).cycles(9) == 103
    with pytest.raises(ValueError, match="link bytes must be at least 1, not 0"):
        Link(bytes_per_cycle=0)
    with pytest.raises(ValueError, match="link latency must be at least 0, not -1"):
        Link(latency=-1)


@pytest.mark.parametrize("stalls", [0, 0.3])
def test_cycles_are_the_cycle_device_s(stalls, seed, tmp_path):
    """A device's cycles add up by cause; a segment takes as long as its slowest device."""
    pair = Pair(RandomCheckpoint(seed), tmp_path, 2)
    timing = Timing(latency=20, stalls=stalls, seed=seed)
    want, made, differ, progress = pair.run([1, 2], 3, device=lambda: Cycle(timing=timing))
    assert made == want and differ == []
    causes = [f"{c}_cycles" for c in ("array", "stall", "encode", "vector", "drain", "idle")]
    cycles = [counters["cycles"] for counters in progress.counters]
    for counters, own in zip(progress.counters, cycles, strict=True):
        assert sum(counters[cause] for cause in causes) == own > 0
    assert max(cycles) <= progress.cycles <= sum(cycles)
    assert progress.cycles < pair.finished.counters["cycles"]


def test_of_equal_logits_the_lowest_token_wins(seed, tmp_path):
    """Rows alike in both halves of the head: the argmax of one device is the lower half's."""
    checkpoint = RandomCheckpoint(seed, vocab_size=64, qkv_bias=False)
    head = checkpoint.tensor("lm_head")
    head[32:] = head[:32]
    pair = Pair(checkpoint, tmp_path, 2)
    want, made, differ, _ = pair.run([1, 2], 6)
    assert made == want and max(made) < 32 and differ == []


# The checks can fail


def without(exchange):
    """Return an interconnect that drops the n-th exchange."""

    class Lossy(Interconnect):
        seen = 0

        def gather(self, name):
            self.seen += 1
            if self.seen != exchange:
                super().gather(name)

    return Lossy


class Crossed(Interconnect):
    """Puts the parts of a vector in the wrong order."""

    def gather(self, name):
        super().gather(name)
        for at in range(len(self._shards)):
            vector = self._elements(at, name)
            vector[:] = np.roll(vector, 2)


class Deaf(Interconnect):
    """Takes the first device's token, whatever the others say."""

    def elect(self, position):
        return int(self._shards[0].token_words(self._memories[0])[position + 1])


# The first position's x, attention, between, act, and x again, all in layer 0.
@pytest.mark.parametrize("broken", [*map(without, range(1, 6)), Crossed, Deaf])
def test_a_broken_exchange_is_seen(broken, seed, tmp_path):
    pair = Pair(RandomCheckpoint(seed, qkv_bias=False), tmp_path, 2)
    _, _, differ, _ = pair.run([1, 2, 3], 12, interconnect=broken)
    assert differ and differ[0].startswith("device ") and "differs from one device's" in differ[0]


def test_shares_in_the_wrong_order_are_seen(seed, tmp_path):
    shape = dict(hidden_size=48, ffn_size=96, vocab_size=64)
    checkpoint = RandomCheckpoint(seed, qkv_bias=False, **shape)
    pair = Pair(checkpoint, tmp_path, 2)
    assert pair.shards[0].memory_bytes == pair.shards[1].memory_bytes
    images = [shard.image({}) for shard in pair.shards]
    name = "layers.0.down.weights"
    regions = [shard.regions[name] for shard in pair.shards]
    parts = [
        image[r.address : r.address + r.bytes] for image, r in zip(images, regions, strict=True)
    ]
    parts[0][:], parts[1][:] = parts[1].copy(), parts[0].copy()
    pair.shards = [Swapped(s, image) for s, image in zip(pair.shards, images, strict=True)]
    _, _, differ, _ = pair.run([1, 2, 3], 4)
    assert any(" x differs" in sentence for sentence in differ)


class Swapped:
    """A share whose image is another."""

    def __init__(self, shard, image):
        self._shard, self._image = shard, image

    def image(self, inputs):
        return self._image

    def __getattr__(self, name):
        return getattr(self._shard, name)
