"""Spends each event's spikes on each beat of its row segment: one array operation a cycle."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.isa import Coding
from hw.contract.params import HwParams
from hw.matmul.beats import beat_layout
from hw.matmul.tiling import tiling_layout
from hw.spike.train import is_single, train_layout

__all__ = ["Sequencer", "finished_layout", "operation_layout", "sequence_layout"]


def sequence_layout(params: HwParams) -> data.StructLayout:
    """Return what the sequencer needs to know of a MATMUL."""
    return data.StructLayout({"coding": Coding, "grouped": 1, "tiling": tiling_layout(params)})


def finished_layout(params: HwParams) -> data.StructLayout:
    """Return what is known of accumulators that are complete: of a tile, or of a group of it."""
    return data.StructLayout(
        {
            "half": 1,
            "empty": 1,  # no event touched them; of the end of a tile in groups: no group did
            **(
                {
                    "group": 1,  # they are a group's
                    "sums": 1,  # they are sums over groups: the end of a tile in groups
                    "first": 1,  # group of the tile
                    "spike_sums": data.ArrayLayout(signed(params.spike_sum_width), params.tokens),
                }
                if params.grouped
                else {}
            ),
        }
    )


def operation_layout(params: HwParams) -> data.StructLayout:
    """Return one step of the array: which tokens add or subtract a shifted beat, and where.

    A MAC array multiplies the beat by `magnitudes` instead of shifting it.
    """
    magnitudes = data.ArrayLayout(params.spike_width - 1, params.tokens)
    return data.StructLayout(
        ({"magnitudes": magnitudes} if params.array == "mac" else {})
        | {
            "beat": beat_layout(params),
            "shift": range(params.step_width),
            "plus": params.tokens,
            "minus": params.tokens,
            "half": 1,  # of the accumulators
            "bank": range(max(params.banks, 2)),
            "first_event": 1,  # of the tile: the accumulators start at zero
            "first_step": 1,  # of the beat: the accumulators are loaded
            "last_step": 1,  # of the beat: they are stored
            "lanes": range(params.lanes + 1),  # that carry an output channel
        }
    )


class Sequencer(Component):
    """Loop over events, beats and firing steps, and hand finished tiles to the drain.

    The accumulators have two halves: while one drains, the next tile accumulates in the other, or
    the next group of the tile.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Spike trains and marks.
    spike_sums : In(array)
        Of the group whose mark is on offer.
    i_beats : In(stream)
        Beats of the events' row segments.
    i_matmul : In(stream)
        Coding and tiling of the events' MATMUL; taken with its last end mark.
    o : Out(stream)
        Array operations; the array takes one each cycle.
    array_idle, array_storing : In(1)
        Every operation has reached the accumulators; one beat's would be stored when an operation
        of this cycle would load its own.
    o_tile : Out(stream)
        A finished tile, or a group of it.
    release : In(2)
        The drain is done with that half.
    stalled : Out(1)
        In this cycle an event waits for its weights.

    Timing:      latency 0 from beat to operation; one step a cycle; stalls only for weights, a half
                 that drains and, in rows of two beats, a cycle after each pair of single steps.
    Arithmetic:  none.
    Golden:      golden.numerics.costs
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(train_layout(p))),
                "i_beats": In(stream.Signature(beat_layout(p))),
                "i_matmul": In(stream.Signature(sequence_layout(p))),
                "o": Out(stream.Signature(operation_layout(p), always_ready=True)),
                "array_idle": In(1),
                "array_storing": In(1),
                "o_tile": Out(stream.Signature(finished_layout(p))),
                "spike_sums": In(data.ArrayLayout(signed(p.spike_sum_width), p.tokens)),
                "release": In(2),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        train, op = self.i.payload, self.o.payload
        tiling = self.i_matmul.payload.tiling
        tile = Signal(24)
        half = Signal()
        untouched = Signal(init=1)
        occupied = Signal(2)
        bank = Signal(range(max(p.banks, 2)))
        outputs_left = Signal(range(p.tile_outputs + 1))
        extent = Signal.like(tiling.full)
        first_tile = Signal(init=1)
        ends = Signal()  # the tile is the last one, where it is not the first
        with m.If(Mux(first_tile, tiling.single, ends)):
            m.d.comb += extent.eq(tiling.last)
        with m.Else():
            m.d.comb += extent.eq(tiling.full)
        half_free = ~occupied.bit_select(half, 1)

        # The step to make now. Positional codings: the lowest digit not yet spent; unary: the next
        # spike of the longest train.
        fresh = Signal(init=1)
        pending = Signal(p.step_width)
        pending_single = Signal()
        mac = p.array == "mac"
        unary = Const(1) if mac else self.i_matmul.payload.coding == Coding.UNARY
        digits = Signal(p.step_width)
        lowest = Signal(p.step_width)
        rest = Signal(p.step_width)
        spent = Signal(p.step_width)
        m.d.comb += [
            digits.eq(Mux(fresh, train.steps, pending)),
            lowest.eq(digits & -digits),
            rest.eq(Mux(unary, digits - 1, digits & (digits - 1))),
            spent.eq(train.steps - digits),  # unary: spikes fired before this one
        ]
        for index in range(p.step_width):
            with m.If(lowest[index] & ~unary):
                m.d.comb += op.shift.eq(index)
        plus, minus = [], []
        for token in range(p.tokens):
            fires = train.plus[token] > spent
            negative = train.minus[token][0]
            plus.append(Mux(unary, fires & ~negative, (train.plus[token] & lowest).any()))
            minus.append(Mux(unary, fires & negative, (train.minus[token] & lowest).any()))

            if mac:
                m.d.comb += op.magnitudes[token].eq(train.plus[token])
        left = Signal.like(outputs_left)
        m.d.comb += [
            left.eq(Mux(bank == 0, extent.outputs, outputs_left)),
            op.beat.eq(self.i_beats.payload),
            op.plus.eq(Cat(*plus)),
            op.minus.eq(Cat(*minus)),
            op.half.eq(half),
            op.bank.eq(bank),
            op.first_event.eq(untouched),
            op.first_step.eq(fresh),
            op.last_step.eq(Mux(fresh, train.single, pending_single)),
            op.lanes.eq(Mux(left < p.lanes, left, p.lanes)),
        ]
        last_bank = bank == extent.row_beats - 1
        # Of two beats, the first one returns while it is stored: it would be loaded too early.
        two_beats = Signal()  # since the last operation at least: a tile is not left before
        m.d.sync += two_beats.eq(extent.row_beats == 2)
        early = fresh & self.array_storing & two_beats
        mark = train.end | train.group_end
        event = self.i.valid & self.i_matmul.valid & ~mark & half_free & ~early
        m.d.comb += [
            self.o.valid.eq(event & self.i_beats.valid),
            self.stalled.eq(event & ~self.i_beats.valid),
            self.i_beats.ready.eq(event & op.last_step),
        ]
        with m.If(self.o.valid):
            m.d.sync += [
                fresh.eq(op.last_step),
                pending.eq(rest),
                pending_single.eq(is_single(rest, unary)),
            ]
            with m.If(op.last_step):
                m.d.sync += [
                    bank.eq(Mux(last_bank, 0, bank + 1)),
                    outputs_left.eq(left - op.lanes),
                ]
                with m.If(last_bank):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += untouched.eq(0)

        # The end of a tile in groups has no accumulators of its own: its groups had.
        sums = train.end & self.i_matmul.payload.grouped
        finished = self.o_tile.payload
        m.d.comb += [
            self.o_tile.valid.eq(
                self.i.valid & self.i_matmul.valid & mark & (sums | (half_free & self.array_idle))
            ),
            finished.half.eq(half),
            finished.empty.eq(untouched),
        ]
        if p.grouped:
            scaled = Signal()  # a group of the tile has been handed over
            m.d.comb += [
                finished.group.eq(train.group_end),
                finished.sums.eq(sums),
                finished.first.eq(~scaled),
                finished.spike_sums.eq(self.spike_sums),
            ]
            with m.If(sums):
                m.d.comb += finished.empty.eq(~scaled)
            with m.If(self.o_tile.valid & self.o_tile.ready):
                m.d.sync += scaled.eq(train.group_end)
        m.d.sync += occupied.eq(occupied & ~self.release)
        with m.If(self.o_tile.valid & self.o_tile.ready):
            m.d.comb += self.i.ready.eq(1)
            with m.If(~sums):
                m.d.sync += [
                    occupied.eq((occupied & ~self.release) | (1 << half)),
                    half.eq(~half),
                    untouched.eq(1),
                ]
            with m.If(train.end):
                m.d.sync += [
                    tile.eq(tile + 1),
                    first_tile.eq(0),
                    ends.eq(tile + 2 == tiling.tiles),
                ]
            with m.If(train.last):
                m.d.comb += self.i_matmul.ready.eq(1)
                m.d.sync += [tile.eq(0), first_tile.eq(1)]
        return m
