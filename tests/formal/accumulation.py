"""Spike train, sequencer and array: what the drain reads is the exact sum of counts times weights.

One accumulator is chosen, any of them. The proof follows the sum that it must hold, wide enough
for any number of events, beside the block.
"""

from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib.wiring import connect

from hw.array import PEArray
from hw.isa import Coding
from hw.params import HwParams
from hw.pe import accumulate
from hw.sequencer import Sequencer
from hw.tiling import tile_layout
from hw.train import SpikeTrain
from tests.formal.rules import Opened, constant, free, handshake, keeps, source
from tests.formal.spikes import value, worth_counts

_LARGEST_WEIGHT = 127


class Chain:
    """The three blocks, connected as in the matrix path, in an environment that keeps its rules.

    Parameters
    ----------
    m : Module
        Where they are put.
    p : HwParams
        The accelerator.
    """

    def __init__(self, m: Module, p: HwParams) -> None:
        self.train, self.sequencer, self.array = SpikeTrain(p), Sequencer(p), PEArray(p)
        self.in_sequencer = Opened(m, self.sequencer, "sequencer")
        self.in_array = Opened(m, self.array, "array")
        m.submodules.train = train = self.train
        sequencer, array = self.sequencer, self.array
        connect(m, train.o, sequencer.i)
        connect(m, sequencer.o, array.i)
        m.d.comb += sequencer.array_idle.eq(array.idle)
        source(m, train.i, "events")
        source(m, train.i_coding, "codings")
        source(m, sequencer.i_beats, "beats")
        source(m, sequencer.i_matmul, "matmuls")
        free(m, sequencer.o_tile.ready, sequencer.release)
        free(m, array.half, array.bank, array.token, array.group, array.enable)

        event = train.i.payload
        self.counts = Signal.like(event.counts)  # of the event at the sequencer
        self.coding = coding = Signal(Coding)
        self.entered = Signal(range(p.max_channels + 2))  # events of the tile
        with m.If(handshake(train.i)):
            m.d.sync += [
                self.counts.eq(event.counts),
                coding.eq(train.i_coding.payload),
                self.entered.eq(Mux(event.end, 0, self.entered + 1)),
            ]
        for token in range(p.tokens):
            count = event.counts[token]
            m.d.comb += Assume((count >= -p.max_count) & (count <= p.max_count))
            held = self.counts[token]
            m.d.comb += Assert((held >= -p.max_count) & (held <= p.max_count))
        if p.skip_silent:
            fires = Cat(count != 0 for count in event.counts).any()
            m.d.comb += Assume(~train.i.valid | event.end | fires)
        m.d.comb += Assert(~train.o.valid | train.o.payload.end | (train.o.payload.steps != 0))
        # Of a tile, each channel comes once. Both blocks are told the same coding. Weights are
        # symmetric. A tile has one to `banks` beats. The drain releases what it was given.
        occupied = self.in_sequencer.signal("occupied")
        tiling = sequencer.i_matmul.payload.tiling
        m.d.comb += [
            Assume(~train.i.valid | event.end | (self.entered < p.max_channels)),
            Assume(train.i_coding.payload.as_value() < len(Coding)),
            Assume(
                ~(sequencer.i.valid & sequencer.i_matmul.valid)
                | (sequencer.i_matmul.payload.coding == coding)
            ),
            Assume((sequencer.release & ~occupied) == 0),
        ]
        for weight in sequencer.i_beats.payload:
            m.d.comb += Assume((weight >= -_LARGEST_WEIGHT) & (weight <= _LARGEST_WEIGHT))
        for tile in (tiling.full, tiling.last):
            m.d.comb += Assume((tile.row_beats != 0) & (tile.row_beats <= p.banks))


@dataclass(frozen=True)
class Place:
    """The chosen accumulator: any half and beat, and one token and lane."""

    half: Signal
    beat: Signal
    token: int
    lane: int


class ArrayState:
    """What the array holds of the chosen accumulator, wherever it is.

    Parameters
    ----------
    m, p, chain, place
        Module, parameters, the connected blocks, the accumulator.
    """

    def __init__(self, m: Module, p: HwParams, chain: Chain, place: Place) -> None:
        inside = chain.in_array
        address = Signal(range(2 * p.banks))
        index = place.token * p.lanes + place.lane

        def chosen(row: Value) -> Value:
            selected = Signal(signed(p.acc_width), name=f"chosen{len(self._names)}")
            self._names.append(selected)
            m.d.comb += selected.eq(row.word_select(index, p.acc_width))
            return selected

        self._names: list[Signal] = []
        valid, clear, load, store = inside.signal("flags")
        spikes, operands = inside.signal("spikes"), inside.signal("operands")
        mac = p.array == "mac"
        operand = Signal(signed(len(operands) // p.lanes // (p.tokens if mac else 1)))
        m.d.comb += [
            address.eq(place.beat + Mux(place.half, p.banks, 0)),
            operand.eq(operands.word_select(index if mac else place.lane, len(operand))),
        ]
        memory = chosen(inside.memory("accumulators", address))
        loaded = chosen(inside.read_data("accumulators", 0))
        v_mem = chosen(inside.signal("v_mem"))
        held_place, at = inside.signal("held_place"), inside.signal("place")
        store_valid = inside.signal("store_valid")
        plus, minus = (spikes.word_select(side, p.tokens) for side in range(2))
        plus, minus = (side[place.token] for side in (plus, minus))
        base, added = Signal(signed(p.acc_width)), Signal(signed(p.acc_width))
        here = valid & (at == address)
        m.d.comb += [
            base.eq(Mux(clear, 0, Mux(~load | (held_place == at), v_mem, loaded))),
            added.eq(accumulate(base, operand, plus, minus)),
        ]
        self.value = Signal(signed(p.acc_width), name="held_value")
        m.d.comb += self.value.eq(Mux(here, added, Mux(held_place == address, v_mem, memory)))

        open_beat = Signal()  # the last addition was not its beat's last
        self.used = Signal()  # there has been an addition since the reset
        with m.If(valid):
            m.d.sync += [open_beat.eq(~store), self.used.eq(1)]
        fresh = chain.in_sequencer.signal("fresh")
        self.valid = valid
        self.memory, self.in_flight = memory, here | (store_valid & (held_place == address))
        m.d.comb += [
            Assert(~(plus & minus)),
            # What was loaded is what memory holds, unless the adder has something newer.
            Assert(~here | (held_place == address) | ~load | clear | (loaded == memory)),
            # Memory has what left the adder last.
            Assert(
                ~self.used | (held_place != address) | open_beat | store_valid | (v_mem == memory)
            ),
            # A beat's steps follow each other.
            Assert(~open_beat | ~store_valid),
            Assert(~(valid & open_beat) | (~load & (at == held_place))),
            Assert(~valid | load | open_beat),
            Assert(fresh == Mux(valid, store, ~open_beat)),
            Assert(valid | ~open_beat | (held_place == self._address(p, chain))),
            Assert(~valid | store | (at == self._address(p, chain))),
        ]

    @staticmethod
    def _address(p: HwParams, chain: Chain) -> Value:
        half, bank = (chain.in_sequencer.signal(name) for name in ("half", "bank"))
        return bank + Mux(half, p.banks, 0)


def times(number: Value, weight: Value, largest: int) -> Value:
    """Return their product, by cases: solvers find those easier than a multiplier."""
    product = Const(0)
    for n in range(1, largest + 1):
        product = Mux(number == n, weight * n, Mux(number == -n, weight * -n, product))
    return product


def accumulation(m: Module, p: HwParams) -> None:
    """Prove it by induction: the registers follow from the sum, step by step."""
    chain = Chain(m, p)
    inside, sequencer = chain.in_sequencer, chain.sequencer
    place = Place(
        constant(m, 1, "chosen_half"), constant(m, range(max(p.banks, 2)), "chosen_beat"), 0, 1
    )
    m.d.comb += Assume(place.beat < p.banks)
    array = ArrayState(m, p, chain, place)
    half, bank, fresh, pending, untouched, occupied = (
        inside.signal(name)
        for name in ("half", "bank", "fresh", "pending", "untouched", "occupied")
    )
    extent = tile_layout(p)(inside.signal("extent"))
    train, op = sequencer.i.payload, sequencer.o.payload
    with m.If(sequencer.i.valid & ~train.end):
        worth_counts(m, p, train, chain.coding, chain.counts)

    # What the beat at hand has added so far: the digits spent, worth `partial`, times the weight.
    count = Signal(signed(p.count_width))
    partial = Signal(signed(p.count_width + 1))
    weight = Signal(signed(max(p.weight_widths)))
    plus, minus = Signal(p.step_width), Signal(p.step_width)
    m.d.comb += [
        count.eq(chain.counts[place.token]),
        plus.eq(train.plus[place.token]),
        minus.eq(train.minus[place.token]),
        weight.eq(op.beat[place.lane]),
    ]
    unary = (chain.coding == Coding.UNARY) | (p.array == "mac")
    spent = Signal(p.step_width)
    fired = Mux(spent < plus, spent, plus)
    with m.If(~fresh):
        m.d.comb += spent.eq(Mux(unary, train.steps - pending, train.steps & ~pending))
        m.d.comb += partial.eq(
            Mux(unary, Mux(minus[0], -fired, fired), value(plus & spent, minus & spent))
        )
    lowest = pending & -pending
    m.d.comb += [
        Assert(fresh | (sequencer.i.valid & sequencer.i_matmul.valid & ~train.end)),
        Assert(fresh | (sequencer.i_beats.valid & ~occupied.bit_select(half, 1))),
        Assert(fresh | (pending != 0)),
        Assert(fresh | ~unary | (pending < train.steps)),
        Assert(fresh | unary | (((pending & ~train.steps) == 0) & (spent < lowest))),
        Assert((partial <= p.max_count) & (partial >= -p.max_count)),
    ]

    # The sum that the accumulator must hold, and how many beats are in it.
    total = Signal(signed(p.acc_width + 2))
    beats, started = Signal(range(p.max_channels + 2)), Signal()
    finished = Signal(range(p.max_channels + 2))  # events of the tile at the sequencer
    here = (half == place.half) & (bank == place.beat)
    done = sequencer.o.valid & op.last_step & here
    with m.If(done):
        m.d.sync += [
            total.eq(Mux(untouched, 0, total) + times(count, weight, p.max_count)),
            beats.eq(Mux(untouched, 0, beats) + 1),
            started.eq(1),
        ]
    with m.If(sequencer.release.bit_select(place.half, 1)):
        m.d.sync += started.eq(0)
    with m.If(handshake(sequencer.i)):
        m.d.sync += finished.eq(Mux(train.end, 0, finished + 1))

    busy = occupied.bit_select(place.half, 1)
    current = (half == place.half) & ~busy
    live = ~fresh & here
    expected = Signal(signed(p.acc_width + 2))
    limit = p.max_count * _LARGEST_WEIGHT
    m.d.comb += [
        expected.eq(
            Mux(live & untouched, 0, total) + Mux(live, times(partial, weight, p.max_count), 0)
        ),
        # The theorem, and what makes it inductive.
        Assert(~(started | live) | (array.value == expected)),
        Assert(~(started & busy) | ((array.memory == total) & ~array.in_flight)),
        Assert(~started | ((total <= limit * beats) & (total >= -limit * beats))),
        Assert(beats <= p.max_channels),
        # Where the sequencer is.
        Assert(untouched == (finished == 0)),
        Assert(array.used | array.in_flight | ~started),
        Assert(array.used | array.valid | (untouched & fresh & (bank == 0))),
        Assert((untouched & (bank == 0)) | sequencer.i_matmul.valid),
        Assert((bank == 0) | (sequencer.i.valid & ~train.end & (bank < extent.row_beats))),
        Assert(~occupied.bit_select(half, 1) | (untouched & (bank == 0) & fresh)),
        Assert(current | busy | ~started),
    ]
    with m.If(current & untouched):
        m.d.comb += Assert(started == (place.beat < bank))
        m.d.comb += Assert(~started | (beats == 1))
    with m.If(current & ~untouched):
        m.d.comb += Assert(started == (place.beat < extent.row_beats))
        m.d.comb += Assert(~started | (beats == finished + (bank > place.beat)))
    with m.If(sequencer.i.valid):
        m.d.comb += Assert(Mux(train.end, chain.entered == 0, chain.entered == finished + 1))
    with m.Else():
        m.d.comb += Assert(chain.entered == finished)
    m.d.comb += Assert((chain.entered <= p.max_channels) & (finished <= p.max_channels))

    # The drain's view.
    reads, total_read = Signal(), Signal.like(total)
    drained = chain.array
    m.d.sync += [
        reads.eq(
            (drained.enable & started & busy)
            & (drained.half == place.half)
            & (drained.bank == place.beat)
            & (drained.token == place.token)
            & (drained.group == place.lane // p.encode_lanes)
        ),
        total_read.eq(total),
    ]
    psum = drained.psums[place.lane % p.encode_lanes]
    m.d.comb += Assert(~reads | (psum == total_read))
    keeps(m, Assert, ~drained.enable, drained.psums, name="psums")
    keeps(m, Assert, drained.idle, drained.idle | sequencer.o.valid, name="idle")
    m.d.comb += Cover(reads & (total_read == -3 * limit) & (beats == 3))
