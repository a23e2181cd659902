"""Spike train, sequencer and array, as the matrix path connects them, and what is known of them."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.hdl import Assert, Assume
from amaranth.lib.wiring import connect

from hw.contract.isa import Coding
from hw.contract.params import HwParams
from hw.matmul.array import PEArray
from hw.matmul.sequencer import Sequencer
from hw.matmul.tiling import tile_layout
from hw.spike.train import SpikeTrain, is_single
from tests.formal.rules import Opened, free, handshake, source
from tests.formal.spikes import Waiting, value, worth_counts

__all__ = ["LARGEST_WEIGHT", "Beat", "Chain"]

LARGEST_WEIGHT = 127


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
        self.in_train = Opened(m, self.train, "train")
        self.in_sequencer = Opened(m, self.sequencer, "sequencer")
        self.in_array = Opened(m, self.array, "array")
        train, sequencer, array = self.train, self.sequencer, self.array
        connect(m, train.o, sequencer.i)
        connect(m, sequencer.o, array.i)
        m.d.comb += [
            sequencer.array_idle.eq(array.idle),
            sequencer.array_storing.eq(array.storing),
        ]
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
        self.waiting = waiting = Waiting(m, train, self.in_train)
        with m.If(handshake(train.i)):
            m.d.sync += self.entered.eq(Mux(event.end, 0, self.entered + 1))
        with m.If(waiting.leaves):
            m.d.sync += [self.counts.eq(waiting.counts), coding.eq(train.i_coding.payload)]
        for token in range(p.tokens):
            count = event.counts[token]
            m.d.comb += Assume((count >= -p.max_count) & (count <= p.max_count))
            for held in (self.waiting.counts[token], self.counts[token]):
                m.d.comb += Assert((held >= -p.max_count) & (held <= p.max_count))
        if p.skip_silent:
            for kind, valid, end, counts in (
                (Assume, train.i.valid, event.end, event.counts),
                (Assert, waiting.valid, waiting.end, waiting.counts),
            ):
                m.d.comb += kind(~valid | end | Cat(count != 0 for count in counts).any())
        m.d.comb += Assert(~train.o.valid | train.o.payload.end | (train.o.payload.steps != 0))
        # Of a tile, each channel comes once. Both blocks are told the same coding. Weights are
        # symmetric. A tile has one to `banks` beats. The drain releases what it was given.
        self.half, self.bank, self.fresh, self.pending, self.untouched, self.occupied = (
            self.in_sequencer.signal(name)
            for name in ("half", "bank", "fresh", "pending", "untouched", "occupied")
        )
        self.extent = tile_layout(p)(self.in_sequencer.signal("extent"))
        tiling = sequencer.i_matmul.payload.tiling
        m.d.comb += [
            Assume(~train.i.valid | event.end | (self.entered < p.max_channels)),
            Assume(train.i_coding.payload.as_value() < len(Coding)),
            Assume(
                ~(sequencer.i.valid & sequencer.i_matmul.valid)
                | (sequencer.i_matmul.payload.coding == coding)
            ),
            Assume((sequencer.release & ~self.occupied) == 0),
        ]
        for weight in sequencer.i_beats.payload:
            m.d.comb += Assume((weight >= -LARGEST_WEIGHT) & (weight <= LARGEST_WEIGHT))
        for tile in (tiling.full, tiling.last):
            m.d.comb += Assume((tile.row_beats != 0) & (tile.row_beats <= p.banks))


class Beat:
    """What the beat at the sequencer has added to one token so far: digits worth `partial`.

    Parameters
    ----------
    m, p, chain
        Module, parameters, the connected blocks.
    token, lane : int
        Which count, and which weight.
    """

    def __init__(self, m: Module, p: HwParams, chain: Chain, token: int, lane: int) -> None:
        sequencer, fresh, pending = chain.sequencer, chain.fresh, chain.pending
        train = sequencer.i.payload
        with m.If(sequencer.i.valid & ~train.end):
            worth_counts(m, p, train, chain.coding, chain.counts)
        self.count = chain.counts[token]
        self.weight = sequencer.o.payload.beat[lane]
        self.partial = Signal(signed(p.count_width + 1))
        plus, minus = train.plus[token], train.minus[token]
        self.unary = unary = (chain.coding == Coding.UNARY) | (p.array == "mac")
        spent = Signal(p.step_width)
        fired = Mux(spent < plus, spent, plus)
        with m.If(~fresh):
            m.d.comb += [
                spent.eq(Mux(unary, train.steps - pending, train.steps & ~pending)),
                self.partial.eq(
                    Mux(unary, Mux(minus[0], -fired, fired), value(plus & spent, minus & spent))
                ),
            ]
        lowest = pending & -pending
        single = chain.in_sequencer.signal("pending_single")
        m.d.comb += [
            Assert(fresh | (sequencer.i.valid & sequencer.i_matmul.valid & ~train.end)),
            Assert(fresh | (sequencer.i_beats.valid & ~chain.occupied.bit_select(chain.half, 1))),
            Assert(fresh | (pending != 0)),
            Assert(fresh | (single == is_single(pending, unary))),
            Assert(
                ~sequencer.i.valid | train.end | (train.single == is_single(train.steps, unary))
            ),
            Assert(fresh | ~unary | (pending < train.steps)),
            Assert(fresh | unary | (((pending & ~train.steps) == 0) & (spent < lowest))),
            Assert((self.partial <= p.max_count) & (self.partial >= -p.max_count)),
        ]
