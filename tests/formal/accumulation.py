"""Nothing overflows: what the drain reads is the exact sum of counts times weights.

The whole claim closes by induction for small counts only: a solver finds products hard. For the
presets it is cut in two that need no product: each beat's additions are worth its counts, never
more than the largest count on the way (`steps`); and the array adds exactly, as long as the exact
sum keeps to the bound that follows from that (`additions`): 128 * max_channels times the largest
count, 2^max_shift * max_count.
"""

from collections.abc import Callable

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.hdl import Assert, Assume, Cover

from hw.contract.params import HwParams
from tests.formal.accumulator import ArrayState, Place, Tiles, choose
from tests.formal.chain import LARGEST_WEIGHT, Beat, Chain
from tests.formal.rules import keeps
from tests.formal.spikes import most

__all__ = ["accumulation", "additions", "steps"]


def steps(m: Module, p: HwParams) -> None:
    """Add up the digits as the array is told to add them."""
    chain = Chain(m, p)
    op = chain.sequencer.o
    for token in range(p.tokens):
        beat = Beat(m, p, chain, token, 0)
        digit = op.payload.plus[token] - op.payload.minus[token]
        worth = Signal(signed(p.spike_width + 2), name=f"worth{token}")
        magnitude = op.payload.magnitudes[token] if p.array == "mac" else 1 << op.payload.shift
        m.d.comb += worth.eq(beat.partial + digit * magnitude)
        with m.If(op.valid):
            m.d.comb += [
                Assert(~(op.payload.plus[token] & op.payload.minus[token])),
                Assert(op.payload.first_step == chain.fresh),
                Assert(~chain.fresh | (beat.partial == 0)),
                Assert(Mux(op.payload.last_step, worth == beat.count, True)),
                Assert((worth <= most(p)) & (worth >= -most(p))),
            ]
        before = Signal.like(worth, name=f"before{token}")
        goes_on = Signal(name=f"goes_on{token}")
        m.d.sync += [before.eq(worth), goes_on.eq(op.valid & ~op.payload.last_step)]
        m.d.comb += Assert(~goes_on | (~chain.fresh & (beat.partial == before)))
        ends = op.valid & op.payload.last_step
        m.d.comb += Cover(ends & (beat.count == -3) & ((p.array == "mac") | (beat.partial != 0)))


def times(number: Value, weight: Value, largest: int) -> Value:
    """Return their product, by cases: solvers find those easier than a multiplier."""
    product = Const(0)
    for n in range(1, largest + 1):
        product = Mux(number == n, weight * n, Mux(number == -n, weight * -n, product))
    return product


def accumulation(token: int, lane: int) -> Callable[[Module, HwParams], None]:
    """Return the whole claim, for one token and lane."""

    def build(m: Module, p: HwParams) -> None:
        chain, place = Chain(m, p), choose(m, p, token, lane)
        array = ArrayState(m, p, chain, place)
        tiles, beat = Tiles(m, p, chain, place, array), Beat(m, p, chain, token, lane)
        total, expected = (Signal(signed(p.acc_width + 2), name=n) for n in ("total", "expected"))
        before = Mux(chain.untouched, 0, total)
        with m.If(tiles.done):
            m.d.sync += total.eq(before + times(beat.count, beat.weight, most(p)))
        partial = times(beat.partial, beat.weight, most(p))
        limit = most(p) * LARGEST_WEIGHT
        m.d.comb += [
            expected.eq(Mux(tiles.live, before + partial, total)),
            Assert(~tiles.started | (total <= limit * tiles.beats)),
            Assert(~tiles.started | (total >= -limit * tiles.beats)),
        ]
        _held(m, p, chain, place, array, tiles, expected)
        m.d.comb += Cover(tiles.busy & tiles.started & (total == -2 * limit) & (tiles.beats == 2))

    return build


def additions(token: int, lane: int) -> Callable[[Module, HwParams], None]:
    """Return the proof of the array's part, for one token and lane."""

    def build(m: Module, p: HwParams) -> None:
        chain, place = Chain(m, p), choose(m, p, token, lane)
        array = ArrayState(m, p, chain, place)
        tiles = Tiles(m, p, chain, place, array)
        Beat(m, p, chain, token, lane)
        op = chain.sequencer.o.payload
        exact = Signal(signed(p.acc_width + 2))
        operand = op.beat[lane] * (op.magnitudes[token] if p.array == "mac" else 1 << op.shift)
        with m.If(chain.sequencer.o.valid & tiles.here):
            m.d.sync += exact.eq(
                Mux(op.first_event & op.first_step, 0, exact)
                + Mux(op.plus[token], operand, 0)
                - Mux(op.minus[token], operand, 0)
            )
        limit = most(p) * LARGEST_WEIGHT * p.max_channels
        m.d.comb += Assume((exact <= limit) & (exact >= -limit))
        _held(m, p, chain, place, array, tiles, exact)
        m.d.comb += Cover(tiles.busy & tiles.started & (exact < -2 * most(p)))

    return build


def _held(
    m: Module,
    p: HwParams,
    chain: Chain,
    place: Place,
    array: ArrayState,
    tiles: Tiles,
    expected: Value,
) -> None:
    """Assert that the array holds what is expected, and that the drain reads it."""
    m.d.comb += [
        Assert(~(tiles.started | tiles.live) | (array.known & (array.value == expected))),
        Assert(~(tiles.started & tiles.busy) | ((array.memory == expected) & ~array.in_flight)),
    ]
    drained = chain.array
    of_this = (drained.half == place.half) & (drained.bank == place.beat)
    collides = chain.in_array.collides("accumulators")
    m.d.comb += [
        # The drain reads of the half that it was given (proof `drain`); there nothing is added.
        Assume(~drained.enable | chain.occupied.bit_select(drained.half, 1)),
        Assert(~(tiles.busy & array.in_flight)),
        Assert(~(drained.enable & drained.ready & of_this & collides)),
        Cover(collides),
    ]
    # What was read is shown until an operation loads, or something else is read; and what of it was
    # taken, until something else is.
    shows, shown = Signal(), Signal(signed(p.acc_width + 2))
    taken, psum = Signal(), drained.psums[place.lane % p.encode_lanes]
    with m.If(drained.enable | ~drained.ready):
        m.d.sync += [
            shown.eq(expected),
            shows.eq(
                (drained.enable & drained.ready & tiles.started & tiles.busy & of_this)
                & (drained.token == place.token)
                & (drained.group == place.lane // p.encode_lanes)
            ),
        ]
    value = Signal(signed(p.acc_width + 2))
    with m.If(drained.take):
        m.d.sync += [taken.eq(shows), value.eq(shown)]
    m.d.comb += Assert(~taken | (psum == value))
    keeps(m, Assert, ~drained.take, drained.psums, name="psums")
    given = chain.sequencer.o.valid
    keeps(m, Assert, drained.idle & ~given, drained.idle | given, name="idle")
