"""The spike buffer: the batch's counts, and bitmaps of the channels that fire."""

from functools import reduce
from operator import or_

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.params import HwParams

__all__ = ["SpikeBuffer", "batch_layout", "counts_layout", "spike_write_layout"]


def counts_layout(params: HwParams) -> data.ArrayLayout:
    """Return one channel's counts times the weight of its spikes, one for each token."""
    return data.ArrayLayout(signed(params.spike_width), params.tokens)


def batch_layout(params: HwParams) -> data.StructLayout:
    """Return the extent of a batch."""
    return data.StructLayout(
        {"tokens": range(params.tokens + 1), "channels": range(params.max_channels + 1)}
    )


def spike_write_layout(params: HwParams) -> data.StructLayout:
    """Return the counts of one token for a group of neighbouring channels."""
    return data.StructLayout(
        {
            "token": range(max(params.tokens, 2)),
            "group": range(params.max_channels // params.encode_lanes),
            "counts": data.ArrayLayout(signed(params.spike_width), params.encode_lanes),
        }
    )


class SpikeBuffer(Component):
    """Hold a batch's spike counts; written token by token, read channel by channel.

    The last token's counts may be read while they are still being written, up to `ready_words`.

    Channels beyond the last one written, up to the end of its bitmap word, read as silent; so do
    tokens beyond the batch.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Counts of a group of channels of one token, groups in order.
    i_batch : In(stream)
        Tokens and channels of the batch that is about to be written; what is held is forgotten.
    channels : Out
        Channels of the batch.
    ready_words : Out
        Bitmap words that hold all tokens' channels.
    scan_address, scan_enable, scan_fires : In, In(1), Out
        Bitmap word `scan_address`: bit k is set where channel k of the word fires for any token;
        one cycle later, kept while not enabled.
    channel, channel_enable, counts : In, In(1), Out
        The counts of a channel, one cycle later, kept while not enabled.

    Timing:      reads take 1 cycle; one group, one bitmap word and one channel a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(spike_write_layout(p), always_ready=True)),
                "i_batch": In(stream.Signature(batch_layout(p), always_ready=True)),
                "channels": Out(range(p.max_channels + 1)),
                "ready_words": Out(range(p.max_channels // p.scan_width + 1)),
                "scan_address": In(range(p.max_channels // p.scan_width)),
                "scan_enable": In(1),
                "scan_fires": Out(p.scan_width),
                "channel": In(range(p.max_channels)),
                "channel_enable": In(1),
                "counts": Out(counts_layout(p)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        groups_log2 = exact_log2(p.scan_width // p.encode_lanes)
        lanes_log2 = exact_log2(p.encode_lanes)
        write = self.i.payload
        fires = Cat(write.counts[lane] != 0 for lane in range(p.encode_lanes))

        batch = Signal(batch_layout(p))
        tokens = batch.tokens
        last_group = Signal.like(write.group)
        m.d.comb += [
            self.channels.eq(batch.channels),
            last_group.eq((batch.channels - 1) >> lanes_log2),
        ]
        with m.If(self.i.valid & (write.token == tokens - 1)):
            with m.If(write.group == last_group):
                m.d.sync += self.ready_words.eq((write.group >> groups_log2) + 1)
            with m.Else():
                m.d.sync += self.ready_words.eq((write.group + 1) >> groups_log2)
        with m.If(self.i_batch.valid):
            m.d.sync += [batch.eq(self.i_batch.payload), self.ready_words.eq(0)]

        # A bitmap word is written again with each of its groups, so the last writing is complete.
        position = write.group[:groups_log2] if groups_log2 else 0
        gathered = Signal(p.scan_width)
        word = Signal(p.scan_width)
        m.d.comb += word.eq(Mux(position == 0, 0, gathered) | (fires << (position << lanes_log2)))
        with m.If(self.i.valid):
            m.d.sync += gathered.eq(word)

        lane = Signal(range(max(p.encode_lanes, 2)))
        with m.If(self.channel_enable):
            m.d.sync += lane.eq(self.channel[:lanes_log2] if lanes_log2 else 0)
        scans = []
        for token in range(p.tokens):
            here = self.i.valid & (write.token == token)
            counts = memory.Memory(
                shape=write.counts.shape(),
                depth=p.max_channels // p.encode_lanes,
                init=[],
                attrs=NO_COLLISIONS,
            )
            bitmap = memory.Memory(
                shape=p.scan_width,
                depth=p.max_channels // p.scan_width,
                init=[],
                attrs=NO_COLLISIONS,
            )
            m.submodules[f"counts{token}"] = counts
            m.submodules[f"bitmap{token}"] = bitmap
            write_counts, read_counts = counts.write_port(), counts.read_port()
            write_bitmap, read_bitmap = bitmap.write_port(), bitmap.read_port()
            active = token < tokens
            m.d.comb += [
                write_counts.addr.eq(write.group),
                write_counts.data.eq(write.counts),
                write_counts.en.eq(here),
                write_bitmap.addr.eq(write.group >> groups_log2),
                write_bitmap.data.eq(word),
                write_bitmap.en.eq(here),
                read_counts.addr.eq(self.channel >> lanes_log2),
                read_counts.en.eq(self.channel_enable),
                read_bitmap.addr.eq(self.scan_address),
                read_bitmap.en.eq(self.scan_enable),
                self.counts[token].eq(
                    Mux(active, Array(read_counts.data[i] for i in range(p.encode_lanes))[lane], 0)
                ),
            ]
            scans.append(Mux(active, read_bitmap.data, 0))
        m.d.comb += self.scan_fires.eq(reduce(or_, scans))
        return m
