"""The matrix path: executes MATMULs on the counts that ENCODEs leave, one overlapping the next."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.stream import Buffer, Queue, Register
from hw.contract.isa import INSTRUCTIONS, Coding, Offsets, Opcode
from hw.contract.params import HwParams
from hw.matmul.array import PEArray
from hw.matmul.beats import Beats, beat_layout
from hw.matmul.channel_words import ChannelWords, load_layout
from hw.matmul.drain import Drain, drain_layout
from hw.matmul.fetch import Fetcher, fetch_layout, fetched_layout, row_words_layout
from hw.matmul.requant import Requantizer
from hw.matmul.scaler import Scaler
from hw.matmul.sequencer import Sequencer, sequence_layout
from hw.matmul.tiling import Tiling
from hw.memory.port import segment_layout
from hw.memory.write import row_layout
from hw.spike.buffer import SpikeBuffer, batch_layout, spike_write_layout
from hw.spike.encoder import scale_layout
from hw.spike.events import EventQueue, event_layout, walk_layout
from hw.spike.marks import GROUP, GroupMarks, marked_layout
from hw.spike.train import SpikeTrain

__all__ = ["MatrixPath"]

_MATMULS = 4  # that may be under way: each unit has its own queue of them


class MatrixPath(Component):
    """Spike buffer, event queue, fetcher, array, requantizer: the blocks between spikes and memory.

    A MATMUL is handed to each block's own queue, so that its first rows are fetched while the one
    before it still adds, and it adds while that one drains.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        MATMUL instructions, in range.
    tokens, bank : In
        Of the last ENCODE: its batch, and where its thresholds are; taken with an instruction.
    i_encode : In(stream)
        An ENCODE begins (the payload says nothing); MATMULs that follow wait for its counts.
    i_batch, i_counts : In(stream)
        That ENCODE's batch and counts.
    scales, scales_ready : In
        Thresholds by bank and token, and which banks are complete.
    o_weights, i_weights : Out(stream), In(stream)
        Row segments wanted, and their words.
    o_channel_words, i_channel_words : Out(stream), In(stream)
        Channel words wanted, and their words.
    o_row, o : Out(stream)
        Rows for the writer, and their words.
    bank_busy : Out(2)
        Banks that a MATMUL still needs.
    draining : Out(1)
        Results are between the array and the writer.
    event, silent, row_segment, add, stall, synaptic_operations : Out
        What the counters count in this cycle: `event` and `silent` in the first tile only.

    Timing:      see the blocks.
    Arithmetic:  exact.
    Golden:      golden.numerics.accumulation
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        words = stream.Signature(p.axi_data_width)
        segments = stream.Signature(segment_layout(p))
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.MATMUL])),
                "tokens": In(range(p.tokens + 1)),
                "bank": In(1),
                "i_encode": In(stream.Signature(1)),
                "i_batch": In(stream.Signature(batch_layout(p))),
                "i_counts": In(stream.Signature(spike_write_layout(p), always_ready=True)),
                "scales": In(data.ArrayLayout(data.ArrayLayout(scale_layout(p), p.tokens), 2)),
                "scales_ready": In(2),
                "o_weights": Out(segments),
                "i_weights": In(words),
                "o_channel_words": Out(segments),
                "i_channel_words": In(words),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(words),
                "bank_busy": Out(2),
                "draining": Out(1),
                "event": Out(1),
                "silent": Out(range(p.max_channels + 1)),
                "row_segment": Out(1),
                "add": Out(1),
                "stall": Out(1),
                "synaptic_operations": Out(range(p.tokens * p.lanes + 1)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        m.submodules.spikes = spikes = SpikeBuffer(p)
        m.submodules.events = events = EventQueue(p)
        m.submodules.event_queue = event_queue = Queue(marked_layout(p), p.event_depth)
        m.submodules.fetcher = fetcher = Fetcher(p)
        m.submodules.row_queue = row_queue = Queue(row_words_layout(p), p.event_depth)
        m.submodules.train = train = SpikeTrain(p)
        m.submodules.beats = beats = Beats(p)
        m.submodules.beat_queue = beat_queue = Queue(beat_layout(p), p.beat_depth)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.array = array = PEArray(p)
        m.submodules.channel_words = channel_words = ChannelWords(p)
        m.submodules.tile_queue = tile_queue = Queue(sequencer.o_tile.payload.shape(), 4)
        m.submodules.drain = drain = Drain(p)
        marks = None
        if p.grouped:
            m.submodules.marks = marks = GroupMarks(p)
        # A row waits for the write port while its words are requantized.
        m.submodules.rows = rows = Register(row_layout(p))

        self._issue(m, events, marks, fetcher, train, sequencer, channel_words, drain)

        # Spikes to events. Each goes to the fetcher and, to wait for its weights, to the queue.
        connect(m, flipped(self.i_counts), spikes.i)
        connect(m, flipped(self.i_batch), events.i_batch)
        both = Signal()
        m.d.comb += [
            spikes.i_batch.payload.eq(self.i_batch.payload),
            spikes.i_batch.valid.eq(self.i_batch.valid & self.i_batch.ready),
            spikes.scan_address.eq(events.scan_address),
            spikes.scan_enable.eq(events.scan_enable),
            spikes.channel.eq(events.channel),
            spikes.channel_enable.eq(events.channel_enable),
            events.channels.eq(spikes.channels),
            events.ready_words.eq(spikes.ready_words),
            events.scan_fires.eq(spikes.scan_fires),
            events.counts.eq(spikes.counts),
            both.eq(fetcher.i.ready & event_queue.i.ready),
        ]
        if marks is not None:
            connect(m, events.o, marks.i)
            handed = marks.o
        else:
            handed = stream.Signature(marked_layout(p)).flip().create()
            m.d.comb += [handed.valid.eq(events.o.valid), events.o.ready.eq(handed.ready)]
            m.d.comb += [
                handed.payload[name].eq(events.o.payload[name]) for name, _ in event_layout(p)
            ]
        m.d.comb += [
            handed.ready.eq(both),
            fetcher.i.valid.eq(handed.valid & both),
            event_queue.i.valid.eq(handed.valid & both),
            event_queue.i.payload.eq(handed.payload),
        ]
        for name, _ in fetched_layout(p):
            m.d.comb += fetcher.i.payload[name].eq(handed.payload[name])

        # Events and weights to accumulators.
        connect(m, fetcher.o, flipped(self.o_weights))
        connect(m, fetcher.o_rows, row_queue.i)
        connect(m, row_queue.o, beats.i_rows)
        connect(m, flipped(self.i_weights), beats.i)
        connect(m, event_queue.o, train.i)
        connect(m, train.o, sequencer.i)
        connect(m, beats.o, beat_queue.i)
        connect(m, beat_queue.o, sequencer.i_beats)
        connect(m, sequencer.o, array.i)

        # Accumulators to results.
        connect(m, sequencer.o_tile, tile_queue.i)
        connect(m, tile_queue.o, drain.i_tile)
        connect(m, channel_words.o_request, flipped(self.o_channel_words))
        connect(m, flipped(self.i_channel_words), channel_words.i_words)
        connect(m, drain.o_row, rows.i)
        connect(m, rows.o, flipped(self.o_row))
        m.d.comb += [
            sequencer.array_idle.eq(array.idle),
            sequencer.array_storing.eq(array.storing),
            sequencer.release.eq(drain.release),
            array.half.eq(drain.half),
            array.bank.eq(drain.bank),
            array.token.eq(drain.token),
            array.group.eq(drain.group),
            array.enable.eq(drain.enable),
            array.take.eq(drain.take),
            channel_words.release.eq(drain.release_words),
            channel_words.half.eq(drain.channel_half),
            channel_words.group.eq(drain.channel_group),
            channel_words.enable.eq(drain.channel_enable),
            sequencer.spike_sums.eq(train.spike_sums),
            drain.ready.eq(array.ready),
            drain.psums.eq(array.psums),
            drain.channels.eq(channel_words.channels),
            drain.loaded.eq(channel_words.loaded),
            drain.scales.eq(self.scales),
            drain.scales_ready.eq(self.scales_ready),
        ]
        if p.grouped:
            m.submodules.scale_queue = scale_queue = Queue(p.axi_data_width, p.scale_depth)
            m.submodules.scaler = scaler = Scaler(p)
            connect(m, beats.o_scales, scale_queue.i)
            connect(m, scale_queue.o, drain.i_scales)
            m.d.comb += [
                scaler.i_valid.eq(drain.o_group_valid),
                scaler.i.eq(drain.o_group),
                scaler.psums.eq(array.psums),
                scaler.index.eq(drain.sum_index),
                scaler.enable.eq(drain.sum_enable),
                drain.scaler_busy.eq(scaler.busy),
                drain.sums.eq(scaler.sums),
            ]
        # Words that leave wait here, so that what moves the requantizers is a register.
        m.submodules.leaving = leaving = Buffer(self.o.payload.shape())
        connect(m, leaving.o, flipped(self.o))
        for lane in range(p.encode_lanes):  # in step with each other
            m.submodules[f"requant{lane}"] = requant = Requantizer(p)
            m.d.comb += [
                requant.i.payload.psum.eq(drain.o.payload.psums[lane]),
                requant.i.payload.channel.eq(drain.o.payload.channels[lane]),
                requant.i.payload.threshold.eq(drain.o.payload.threshold),
                requant.i.valid.eq(drain.o.valid),
                requant.o.ready.eq(leaving.i.ready),
                leaving.i.payload.word_select(lane, 32).eq(requant.o.payload),
            ]
            if lane == 0:
                m.d.comb += [
                    drain.o.ready.eq(requant.i.ready),
                    leaving.i.valid.eq(requant.o.valid),
                    self.draining.eq(drain.busy | requant.busy | leaving.o.valid),
                ]

        self._count(m, handed, both)
        m.d.comb += [
            self.add.eq(sequencer.o.valid),
            self.stall.eq(sequencer.stalled),
            self.synaptic_operations.eq(array.synaptic_operations),
        ]
        return m

    def _issue(self, m, events, marks, fetcher, train, sequencer, channel_words, drain) -> None:
        """Hand each MATMUL to every block's queue at once, and keep count of those under way."""
        p = self._params
        matmul = self.i.payload
        byte_log2 = exact_log2(p.axi_bytes)
        m.submodules.tiling = tiling = Tiling(p)
        m.d.comb += [
            tiling.outputs.eq(matmul.outputs),
            tiling.weight_width.eq(matmul.weight_width),
            tiling.scale_width_log2.eq(matmul.scale_width_log2),
            tiling.offsets.eq(matmul.offsets.as_value() != Offsets.NONE.value),
        ]
        of_groups = ("scale_width_log2", "offsets", "offset_shift") if p.grouped else ()
        shares = {
            "walks": (walk_layout(), events.i, {"new_batch": 0, "tiles": tiling.o.tiles}),
            "fetches": (
                fetch_layout(p),
                fetcher.i_matmul,
                {
                    "base": matmul.weights >> byte_log2,
                    "tiling": tiling.o,
                    "weight_width": matmul.weight_width,
                    "strided": matmul.strided,
                    "group": matmul.group,
                },
            ),
            "codings": (Coding, train.i_coding, matmul.coding),
            "sequences": (
                sequence_layout(p),
                sequencer.i_matmul,
                {"coding": matmul.coding, "grouped": matmul.group != 0, "tiling": tiling.o},
            ),
            "loads": (
                load_layout(p),
                channel_words.i,
                {
                    "address": matmul.channel_words >> byte_log2,
                    "has_bias": matmul.has_bias,
                    "tiling": tiling.o,
                },
            ),
            "drains": (
                drain_layout(p),
                drain.i_matmul,
                {
                    "destination": matmul.destination,
                    "destination_stride": matmul.destination_stride,
                    "tokens": self.tokens,
                    "bank": self.bank,
                    "tiling": tiling.o,
                    **{name: matmul[name] for name in of_groups},
                },
            ),
        }
        if marks is not None:
            shares["groups"] = (GROUP, marks.i_group, matmul.group)
        queues = {name: Queue(layout, _MATMULS) for name, (layout, _, _) in shares.items()}
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(Cat(queue.i.ready for queue in queues.values()).all()),
            accept.eq(self.i.valid & self.i.ready),
        ]
        for name, (_, taker, share) in shares.items():
            m.submodules[name] = queue = queues[name]
            connect(m, queue.o, taker)
            m.d.comb += queue.i.valid.eq(accept)
            if isinstance(share, dict):
                m.d.comb += [queue.i.payload[field].eq(value) for field, value in share.items()]
            else:
                m.d.comb += queue.i.payload.eq(share)

        walks = queues["walks"]
        m.d.comb += self.i_encode.ready.eq(walks.i.ready)
        with m.If(self.i_encode.valid):
            m.d.comb += [walks.i.valid.eq(walks.i.ready), walks.i.payload.new_batch.eq(1)]

        done = drain.i_matmul.valid & drain.i_matmul.ready
        for bank in range(2):
            under_way = Signal(range(2 * _MATMULS + 2), name=f"under_way{bank}")
            begins = accept & (self.bank == bank)
            ends = done & (drain.i_matmul.payload.bank == bank)
            m.d.sync += under_way.eq(under_way + begins - ends)
            m.d.comb += self.bank_busy[bank].eq(under_way != 0)

    def _count(self, m, events, both) -> None:
        """Say what the counters count as events are handed over."""
        first_tile = Signal(init=1)
        firing = Signal(range(self._params.max_channels + 1))
        handed = events.valid & both
        mark = events.payload
        m.d.comb += [
            self.row_segment.eq(handed & ~mark.end & ~mark.group_end),
            self.event.eq(self.row_segment & first_tile),
            self.silent.eq(Mux(handed & mark.end & first_tile, mark.channel - firing, 0)),
        ]
        with m.If(self.event):
            m.d.sync += firing.eq(firing + 1)
        with m.If(handed & mark.end):
            m.d.sync += [first_tile.eq(mark.last), firing.eq(0)]
