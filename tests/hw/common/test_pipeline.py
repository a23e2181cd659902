"""Pipelines: values meet in time, and products are exact whatever the widths and signs."""

import random

import pytest
from amaranth import Module, Signal, signed, unsigned

from hw.common.component import Component
from hw.common.pipeline import PRODUCT_STAGES, Pipeline
from tests.harness.streams import simulate

SHAPES = [
    (unsigned(5), unsigned(3)),
    (unsigned(26), unsigned(16)),
    (unsigned(44), unsigned(16)),
    (unsigned(36), unsigned(36)),
    (signed(33), signed(33)),
    (signed(18), unsigned(17)),
    (signed(34), signed(9)),
]


class Built(Component):
    """What `describe` puts into a module."""

    def __init__(self, describe) -> None:
        self._describe = describe
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        self._describe(m)
        return m


def extremes(shape):
    """Return the least and the largest value of a shape, and what is next to zero."""
    least = -(1 << shape.width - 1) if shape.signed else 0
    largest = (1 << shape.width - shape.signed) - 1
    return [least, largest, 0, 1, -1 if shape.signed else 2]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products(shapes, seed):
    rng = random.Random(seed)
    x, y = (Signal(shape) for shape in shapes)
    staged = []

    def describe(m):
        pipe = Pipeline(m, 1)
        staged.append(pipe.product("product", pipe.enter(x), pipe.enter(y)))

    pairs = [(p, q) for p in extremes(shapes[0]) for q in extremes(shapes[1])]
    pairs += [tuple(rng.randint(*extremes(shape)[:2]) for shape in shapes) for _ in range(200)]

    async def check(ctx):
        (product,) = staged
        assert product.stage == PRODUCT_STAGES
        for cycle in range(len(pairs) + PRODUCT_STAGES):
            if cycle >= PRODUCT_STAGES:
                p, q = pairs[cycle - PRODUCT_STAGES]
                assert ctx.get(product.value) == p * q, (p, q)
            if cycle < len(pairs):
                ctx.set(x, pairs[cycle][0])
                ctx.set(y, pairs[cycle][1])
            await ctx.tick()

    simulate(Built(describe), check)


@pytest.mark.parametrize("shapes", [(unsigned(55), unsigned(19)), (signed(40), signed(5))], ids=str)
def test_products_that_are_too_wide(shapes):
    pipe = Pipeline(None, Signal())  # nothing is built
    with pytest.raises(ValueError, match="^wide must be of fewer pieces than [34] and [12]$"):
        pipe.product("wide", *(pipe.enter(Signal(shape)) for shape in shapes))


def test_values_wait_for_each_other_and_for_a_move(seed):
    rng = random.Random(seed)
    move, word = Signal(), Signal(16)
    staged = []

    def describe(m):
        pipe = Pipeline(m, move)
        entered = pipe.enter(word)
        late = pipe.stage("late", 16, lambda value: value + 1, entered)
        later = pipe.stage("later", 16, lambda value: value + 1, late)
        staged.append(pipe.stage("pair", 32, lambda x, y: x + (y << 16), entered, later))

    words = [rng.getrandbits(15) for _ in range(50)]

    async def check(ctx):
        (pair,) = staged
        assert pair.stage == 3
        moves = 0
        while moves < len(words):
            if moves >= pair.stage:
                old = words[moves - pair.stage]
                assert ctx.get(pair.value) == old + (old + 2 << 16)
            moving = rng.random() < 0.6
            ctx.set(move, moving)
            ctx.set(word, words[moves] if moving else rng.getrandbits(15))
            await ctx.tick()
            moves += moving

    simulate(Built(describe), check)


def test_a_value_is_not_there_before_it_enters():
    pipe = Pipeline(None, Signal())  # nothing is built
    with pytest.raises(ValueError, match="^stage must be at least 3, not 2$"):
        pipe.at(pipe.enter(Signal(), 3), 2)


def test_tables(seed):
    rng = random.Random(seed)
    table = [rng.getrandbits(12) for _ in range(32)]
    index = Signal(5)
    staged = []

    def describe(m):
        pipe = Pipeline(m, 1)
        staged.append(pipe.look_up("table", table, pipe.enter(index)))

    async def check(ctx):
        (entry,) = staged
        assert entry.stage == 2
        for at, value in enumerate(table):
            ctx.set(index, at)
            await ctx.tick()
            await ctx.tick()
            assert ctx.get(entry.value) == value

    simulate(Built(describe), check)
