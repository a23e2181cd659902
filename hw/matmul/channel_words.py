"""Loads the output channels' scales and biases, a tile ahead of the drain."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.isa import SCALE
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.matmul.tiling import tiling_layout
from hw.memory.port import segment_layout, word_address_width

__all__ = ["ChannelWords", "channel_layout", "load_layout"]


def channel_layout() -> data.StructLayout:
    """Return what the requantizer needs to know of an output channel."""
    return data.StructLayout(
        {
            "mantissa": SCALE["mantissa"].width,
            "exponent": SCALE["exponent"].width,
            "bias": signed(VECTOR_WIDTH),
        }
    )


def load_layout(params: HwParams) -> data.StructLayout:
    """Return what to load for a MATMUL: the word address of its channel words, and their extent."""
    return data.StructLayout(
        {
            "address": word_address_width(params),
            "has_bias": 1,
            "tiling": tiling_layout(params),
        }
    )


class ChannelWords(Component):
    """Keep the channel words of two tiles: one drains while the next one's arrive.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        MATMULs; taken when the last tile's channel words have arrived.
    o_request, i_words : Out(stream), In(stream)
        Their segments, and their words.
    loaded : Out(2)
        Halves that hold a tile's channel words.
    release : In(2)
        The drain is done with that half.
    half, group, enable : In
        The group of output channels (a memory word of results) to read.
    channels : Out(array)
        What it holds, one cycle later, kept while not enabled.

    Timing:      a memory word a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        groups = p.tile_outputs // p.encode_lanes
        super().__init__(
            {
                "i": In(stream.Signature(load_layout(p))),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "loaded": Out(2),
                "release": In(2),
                "half": In(1),
                "group": In(range(groups)),
                "enable": In(1),
                "channels": Out(data.ArrayLayout(channel_layout(), p.encode_lanes)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        matmul = self.i.payload
        groups_of_tile = p.tile_outputs // p.encode_lanes
        # One memory a field: what a word of biases does not hold stays as the scales left it.
        scale_bits = SCALE["mantissa"].width + SCALE["exponent"].width
        m.submodules.scales = scales = memory.Memory(
            shape=scale_bits * p.encode_lanes,
            depth=2 * groups_of_tile,
            init=[],
            attrs=NO_COLLISIONS,
        )
        m.submodules.biases = biases = memory.Memory(
            shape=p.axi_data_width, depth=2 * groups_of_tile, init=[], attrs=NO_COLLISIONS
        )
        write_scales, read_scales = scales.write_port(), scales.read_port()
        write_biases, read_biases = biases.write_port(), biases.read_port()

        tile = Signal(24)
        half = Signal()
        address = Signal.like(matmul.address)
        group = Signal(range(groups_of_tile + 1))
        outputs = Signal(range(p.tile_outputs + 1))
        groups = Signal(range(groups_of_tile + 1))
        words = Signal(range(2 * groups_of_tile + 1))
        last_tile = Signal()
        next_address = Signal.like(address)
        last_group = Signal(range(groups_of_tile))
        m.d.comb += [
            outputs.eq(Mux(last_tile, matmul.tiling.last.outputs, matmul.tiling.full.outputs)),
            groups.eq((outputs + p.encode_lanes - 1) >> exact_log2(p.encode_lanes)),
            words.eq(groups << matmul.has_bias),
        ]

        def place(half, group):
            return group + Mux(half, groups_of_tile, 0)

        bias_comes = Signal()
        word = self.i_words.payload
        m.d.comb += [
            write_scales.addr.eq(place(half, group)),
            write_scales.data.eq(
                Cat(
                    word.word_select(lane, VECTOR_WIDTH)[:scale_bits]
                    for lane in range(p.encode_lanes)
                )
            ),
            write_biases.addr.eq(place(half, group)),
            write_biases.data.eq(Mux(bias_comes, word, 0)),
            read_scales.addr.eq(place(self.half, self.group)),
            read_scales.en.eq(self.enable),
            read_biases.addr.eq(place(self.half, self.group)),
            read_biases.en.eq(self.enable),
        ]
        for lane in range(p.encode_lanes):
            raw = read_scales.data.word_select(lane, scale_bits)
            m.d.comb += [
                Cat(self.channels[lane].mantissa, self.channels[lane].exponent).eq(raw),
                self.channels[lane].bias.eq(read_biases.data.word_select(lane, VECTOR_WIDTH)),
            ]
        m.d.sync += self.loaded.eq(self.loaded & ~self.release)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.sync += [
                    tile.eq(0),
                    last_tile.eq(matmul.tiling.single),
                    address.eq(matmul.address),
                ]
                with m.If(self.i.valid):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.o_request.valid.eq(~self.loaded.bit_select(half, 1)),
                    self.o_request.payload.address.eq(address),
                    self.o_request.payload.words.eq(words),
                ]
                m.d.sync += [
                    group.eq(0),
                    last_group.eq(groups - 1),
                    next_address.eq(address + words),
                ]
                with m.If(self.o_request.valid & self.o_request.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.i_words.ready.eq(1)
                with m.If(self.i_words.valid):
                    m.d.comb += [write_scales.en.eq(~bias_comes), write_biases.en.eq(1)]
                    with m.If(matmul.has_bias & ~bias_comes):
                        m.d.sync += bias_comes.eq(1)
                    with m.Else():
                        m.d.sync += [bias_comes.eq(0), group.eq(group + 1)]
                        with m.If(group == last_group):
                            m.d.sync += [
                                self.loaded.eq((self.loaded & ~self.release) | (1 << half)),
                                half.eq(~half),
                                tile.eq(tile + 1),
                                last_tile.eq(tile + 2 == matmul.tiling.tiles),
                                address.eq(next_address),
                            ]
                            m.next = "REQUEST"
                            with m.If(last_tile):
                                m.d.comb += self.i.ready.eq(1)
                                m.next = "IDLE"
        return m
