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
from tests.formal.spikes import Waiting, most, value, worth_counts

__all__ = ["LARGEST_WEIGHT", "Beat", "Chain"]

LARGEST_WEIGHT = 128


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
            m.d.sync += self.entered.eq(Mux(event.end | event.group_end, 0, self.entered + 1))
        with m.If(waiting.leaves):
            m.d.sync += [self.counts.eq(waiting.counts), coding.eq(train.i_coding.payload)]
        m.d.comb += Assert(coding.as_value() < len(Coding))
        for token in range(p.tokens):
            count = event.counts[token]
            m.d.comb += Assume((count >= -most(p)) & (count <= most(p)))
            for held in (self.waiting.counts[token], self.counts[token]):
                m.d.comb += Assert((held >= -most(p)) & (held <= most(p)))
        if p.skip_silent:
            for kind, valid, mark, counts in (
                (Assume, train.i.valid, event.end | event.group_end, event.counts),
                (Assert, waiting.valid, waiting.mark, waiting.counts),
            ):
                m.d.comb += kind(~valid | mark | Cat(count != 0 for count in counts).any())
        given = train.o.payload
        self.mark = mark = given.end | given.group_end  # the sequencer's
        m.d.comb += Assert(~train.o.valid | mark | (given.steps != 0))
        # Of a tile, each channel comes once. Both blocks are told the same coding. A tile has one
        # to `banks` beats. The drain releases what it was given. Marks of groups come where there
        # are groups, behind the last event of each that has some.
        self.half, self.bank, self.fresh, self.pending, self.untouched, self.occupied = (
            self.in_sequencer.signal(name)
            for name in ("half", "bank", "fresh", "pending", "untouched", "occupied")
        )
        self.extent = tile_layout(p)(self.in_sequencer.signal("extent"))
        tiling = sequencer.i_matmul.payload.tiling
        m.d.comb += [
            Assume(~train.i.valid | event.end | event.group_end | (self.entered < p.max_channels)),
            Assume(~(event.end & event.group_end)),
            Assume(train.i_coding.payload.as_value() < len(Coding)),
            Assume(
                ~(sequencer.i.valid & sequencer.i_matmul.valid)
                | (sequencer.i_matmul.payload.coding == coding)
            ),
            Assume(
                ~(sequencer.i.valid & sequencer.i_matmul.valid)
                | Mux(
                    sequencer.i_matmul.payload.grouped,
                    ~given.end | self.untouched,
                    ~given.group_end,
                )
            ),
            Assume((sequencer.release & ~self.occupied) == 0),
        ]
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
        with m.If(sequencer.i.valid & ~chain.mark):
            worth_counts(m, p, train, chain.coding, chain.counts)
        self.count = chain.counts[token]
        self.weight = sequencer.o.payload.beat[lane]
        self.partial = Signal(signed(p.spike_width + 1))
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
            Assert(fresh | (sequencer.i.valid & sequencer.i_matmul.valid & ~chain.mark)),
            Assert(fresh | (sequencer.i_beats.valid & ~chain.occupied.bit_select(chain.half, 1))),
            Assert(fresh | (pending != 0)),
            Assert(fresh | (single == is_single(pending, unary))),
            Assert(
                ~sequencer.i.valid | chain.mark | (train.single == is_single(train.steps, unary))
            ),
            Assert(fresh | ~unary | (pending < train.steps)),
            Assert(fresh | unary | (((pending & ~train.steps) == 0) & (spent < lowest))),
            Assert((self.partial <= most(p)) & (self.partial >= -most(p))),
        ]
