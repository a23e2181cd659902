"""Loads the output channels' scales and biases, a tile ahead of the drain."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.isa import SCALE
from hw.memory_port import log2, segment_layout, word_address_width
from hw.params import VECTOR_WIDTH, HwParams
from hw.stream import Narrow
from hw.tiling import tiling_layout

__all__ = ["ChannelWords", "channel_layout"]


def channel_layout() -> data.StructLayout:
    """Return what the requantizer needs to know of an output channel."""
    return data.StructLayout(
        {
            "mantissa": SCALE["mantissa"].width,
            "exponent": SCALE["exponent"].width,
            "bias": signed(VECTOR_WIDTH),
        }
    )


class ChannelWords(wiring.Component):
    """Keep the channel words of two tiles: one drains while the next one's arrive.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_start : In(stream)
        Word address of a MATMUL's channel words; taken when its last tile's have arrived.
    has_bias, tiling : In
        Of the MATMUL; steady while a start waits.
    o_request, i_words : Out(stream), In(stream)
        Their segments, and their words.
    loaded : Out(2)
        Halves that hold a tile's channel words.
    release : In(2)
        The drain is done with that half.
    half, index, enable : In
        The output channel to read.
    channel : Out(struct)
        What it holds, one cycle later, kept while not enabled.

    Timing:      one 32-bit word a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_start": In(stream.Signature(word_address_width(p))),
                "has_bias": In(1),
                "tiling": In(tiling_layout(p)),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "loaded": Out(2),
                "release": In(2),
                "half": In(1),
                "index": In(range(p.tile_outputs)),
                "enable": In(1),
                "channel": Out(channel_layout()),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        m.submodules.channels = channels = memory.Memory(
            shape=channel_layout(), depth=2 * p.tile_outputs, init=[]
        )
        m.submodules.narrow = narrow = Narrow(p.axi_data_width, VECTOR_WIDTH)
        connect(m, flipped(self.i_words), narrow.i)
        write, read = channels.write_port(), channels.read_port()

        tile = Signal(24)
        half = Signal()
        address = Signal(word_address_width(p))
        index = Signal(range(p.tile_outputs))
        outputs = Signal(range(p.tile_outputs + 1))
        words = Signal(range(2 * p.tile_outputs // p.encode_lanes + 1))
        last_tile = tile == self.tiling.tiles - 1
        m.d.comb += [
            outputs.eq(Mux(last_tile, self.tiling.last.outputs, self.tiling.full.outputs)),
            words.eq(((outputs << self.has_bias) + p.encode_lanes - 1) >> log2(p.encode_lanes)),
        ]

        scale = Signal(SCALE)
        raw_scale = SCALE(narrow.o.payload)
        second = Signal()  # the word that comes now is a bias
        m.d.comb += [
            write.addr.eq(index + Mux(half, p.tile_outputs, 0)),
            write.data.mantissa.eq(Mux(second, scale.mantissa, raw_scale.mantissa)),
            write.data.exponent.eq(Mux(second, scale.exponent, raw_scale.exponent)),
            write.data.bias.eq(Mux(second, narrow.o.payload, 0)),
            read.addr.eq(self.index + Mux(self.half, p.tile_outputs, 0)),
            read.en.eq(self.enable),
            self.channel.eq(read.data),
        ]
        m.d.sync += self.loaded.eq(self.loaded & ~self.release)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.sync += [tile.eq(0), address.eq(self.i_start.payload), second.eq(0)]
                with m.If(self.i_start.valid):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.o_request.valid.eq(~self.loaded.bit_select(half, 1)),
                    self.o_request.payload.address.eq(address),
                    self.o_request.payload.words.eq(words),
                ]
                m.d.sync += index.eq(0)
                with m.If(self.o_request.valid & self.o_request.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += narrow.o.ready.eq(1)
                with m.If(narrow.o.valid):
                    m.d.sync += scale.eq(raw_scale)
                    with m.If(self.has_bias & ~second):
                        m.d.sync += second.eq(1)
                    with m.Else():
                        m.d.comb += write.en.eq(1)
                        m.d.sync += [second.eq(0), index.eq(index + 1)]
                        with m.If(index == outputs - 1):
                            m.d.comb += narrow.flush.eq(1)
                            m.d.sync += [
                                self.loaded.eq((self.loaded & ~self.release) | (1 << half)),
                                half.eq(~half),
                                tile.eq(tile + 1),
                                address.eq(address + words),
                            ]
                            m.next = "REQUEST"
                            with m.If(last_tile):
                                m.d.comb += self.i_start.ready.eq(1)
                                m.next = "IDLE"
        return m
