"""The matrix path: executes MATMUL on the counts that the last ENCODE left."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array import PEArray
from hw.beats import Beats
from hw.channel_words import ChannelWords
from hw.drain import Drain
from hw.encoder import scale_layout
from hw.events import EventQueue, event_layout
from hw.fetch import Fetcher
from hw.isa import INSTRUCTIONS, Opcode
from hw.memory_port import log2, segment_layout
from hw.params import HwParams
from hw.requant import Requantizer
from hw.sequencer import Sequencer
from hw.spikes import SpikeBuffer, spike_write_layout
from hw.stream import Queue
from hw.tiling import Tiling, tiling_layout
from hw.train import SpikeTrain
from hw.write import row_layout

__all__ = ["MatrixPath"]


class MatrixPath(wiring.Component):
    """Spike buffer, event queue, fetcher, array, requantizer: the blocks between spikes and memory.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        A MATMUL instruction, in range; taken when its last element has been handed to the writer.
    i_counts : In(stream)
        Counts, for the spike buffer.
    tokens, channels, scales : In
        Of the last ENCODE; steady while a MATMUL waits.
    o_weights, i_weights : Out(stream), In(stream)
        Row segments wanted, and their words.
    o_channel_words, i_channel_words : Out(stream), In(stream)
        Channel words wanted, and their words.
    o_row, o : Out(stream)
        Rows for the writer, and their elements.
    writing : In(1)
        The writer is busy.
    event, silent, row_segment, add, stall, synaptic_operations : Out
        What the counters count in this cycle: `event` and `silent` in the first tile only.

    Timing:      see the blocks.
    Arithmetic:  exact.
    Golden:      golden.ops
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        words = stream.Signature(p.axi_data_width)
        segments = stream.Signature(segment_layout(p))
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.MATMUL])),
                "i_counts": In(stream.Signature(spike_write_layout(p), always_ready=True)),
                "tokens": In(range(p.tokens + 1)),
                "channels": In(range(p.max_channels + 1)),
                "scales": In(data.ArrayLayout(scale_layout(p), p.tokens)),
                "o_weights": Out(segments),
                "i_weights": In(words),
                "o_channel_words": Out(segments),
                "i_channel_words": In(words),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(32)),
                "writing": In(1),
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
        matmul = self.i.payload
        byte_log2 = log2(p.axi_bytes)

        m.submodules.tiling = tiling = Tiling(p)
        m.submodules.spikes = spikes = SpikeBuffer(p)
        m.submodules.events = events = EventQueue(p)
        m.submodules.event_queue = event_queue = Queue(event_layout(p), p.event_depth)
        m.submodules.fetcher = fetcher = Fetcher(p)
        m.submodules.train = train = SpikeTrain(p)
        m.submodules.beats = beats = Beats(p)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.array = array = PEArray(p)
        m.submodules.channel_words = channel_words = ChannelWords(p)
        m.submodules.tile_queue = tile_queue = Queue(sequencer.o_tile.payload.shape(), 4)
        m.submodules.drain = drain = Drain(p)
        m.submodules.requant = requant = Requantizer(p)

        # One MATMUL: start everything in one cycle, wait for the last tile to leave.
        shape = Signal(tiling_layout(p))
        start = Signal()
        pending_scan, pending_load = Signal(), Signal()
        tiles_left = Signal(24)
        m.d.comb += [
            tiling.outputs.eq(matmul.outputs),
            tiling.weight_width.eq(matmul.weight_width),
        ]
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.sync += shape.eq(tiling.o)
                with m.If(self.i.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += start.eq(1)
                m.d.sync += [
                    pending_scan.eq(1),
                    pending_load.eq(1),
                    tiles_left.eq(shape.tiles),
                ]
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(drain.release.any()):
                    m.d.sync += tiles_left.eq(tiles_left - 1)
                with m.If((tiles_left == 0) & ~requant.busy & ~self.writing):
                    m.d.comb += self.i.ready.eq(1)
                    m.next = "IDLE"
        with m.If(events.i_start.ready):
            m.d.sync += pending_scan.eq(0)
        with m.If(channel_words.i_start.ready):
            m.d.sync += pending_load.eq(0)
        m.d.comb += [
            events.i_start.valid.eq(pending_scan),
            events.i_start.payload.eq(shape.tiles),
            events.channels.eq(self.channels),
            channel_words.i_start.valid.eq(pending_load),
            channel_words.i_start.payload.eq(matmul.channel_words >> byte_log2),
            channel_words.has_bias.eq(matmul.has_bias),
            channel_words.tiling.eq(shape),
            fetcher.start.eq(start),
            fetcher.base.eq(matmul.weights >> byte_log2),
            fetcher.tiling.eq(shape),
            train.coding.eq(matmul.coding),
            beats.weight_width.eq(matmul.weight_width),
            sequencer.start.eq(start),
            sequencer.coding.eq(matmul.coding),
            sequencer.tiling.eq(shape),
            sequencer.array_idle.eq(array.idle),
            sequencer.release.eq(drain.release),
            channel_words.release.eq(drain.release),
            drain.start.eq(start),
            drain.destination.eq(matmul.destination),
            drain.destination_stride.eq(matmul.destination_stride),
            drain.tokens.eq(self.tokens),
            drain.tiling.eq(shape),
            drain.scales.eq(self.scales),
            drain.loaded.eq(channel_words.loaded),
        ]

        # Spikes to events; each event goes to the fetcher and, to wait for its weights, to the
        # queue.
        connect(m, flipped(self.i_counts), spikes.i)
        both = Signal()
        m.d.comb += [
            spikes.tokens.eq(self.tokens),
            spikes.scan_address.eq(events.scan_address),
            spikes.scan_enable.eq(events.scan_enable),
            events.scan_fires.eq(spikes.scan_fires),
            spikes.channel.eq(events.channel),
            spikes.channel_enable.eq(events.channel_enable),
            events.counts.eq(spikes.counts),
            both.eq(fetcher.i.ready & event_queue.i.ready),
            events.o.ready.eq(both),
            fetcher.i.valid.eq(events.o.valid & both),
            fetcher.i.payload.channel.eq(events.o.payload.channel),
            fetcher.i.payload.end.eq(events.o.payload.end),
            event_queue.i.valid.eq(events.o.valid & both),
            event_queue.i.payload.eq(events.o.payload),
        ]
        connect(m, event_queue.o, train.i)
        connect(m, train.o, sequencer.i)
        connect(m, fetcher.o, flipped(self.o_weights))
        connect(m, flipped(self.i_weights), beats.i)
        connect(m, beats.o, sequencer.i_beats)
        connect(m, sequencer.o, array.i)
        connect(m, sequencer.o_tile, tile_queue.i)
        connect(m, tile_queue.o, drain.i_tile)
        connect(m, channel_words.o_request, flipped(self.o_channel_words))
        connect(m, flipped(self.i_channel_words), channel_words.i_words)

        m.d.comb += [
            array.half.eq(drain.half),
            array.bank.eq(drain.bank),
            array.token.eq(drain.token),
            array.lane.eq(drain.lane),
            array.enable.eq(drain.enable),
            drain.psum.eq(array.psum),
            channel_words.half.eq(drain.half),
            channel_words.index.eq(drain.index),
            channel_words.enable.eq(drain.enable),
            drain.channel.eq(channel_words.channel),
        ]
        connect(m, drain.o, requant.i)
        connect(m, drain.o_row, flipped(self.o_row))
        m.d.comb += [
            self.o.payload.eq(requant.o.payload),
            self.o.valid.eq(requant.o.valid),
            requant.o.ready.eq(self.o.ready),
        ]

        # What is counted.
        first_tile = Signal()
        firing = Signal(range(p.max_channels + 1))
        handed = events.o.valid & both
        event = handed & ~events.o.payload.end
        with m.If(start):
            m.d.sync += [first_tile.eq(1), firing.eq(0)]
        with m.If(event & first_tile):
            m.d.comb += self.event.eq(1)
            m.d.sync += firing.eq(firing + 1)
        with m.If(handed & events.o.payload.end & first_tile):
            m.d.comb += self.silent.eq(self.channels - firing)
            m.d.sync += first_tile.eq(0)
        m.d.comb += [
            self.row_segment.eq(event),
            self.add.eq(sequencer.o.valid),
            self.stall.eq(sequencer.stalled),
            self.synaptic_operations.eq(array.synaptic_operations),
        ]
        return m
