"""Drains finished tiles: accumulators and channel words to the requantizer, rows to the writer."""

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.channel_words import channel_layout
from hw.encoder import scale_layout
from hw.memory_port import log2
from hw.params import VECTOR_WIDTH, HwParams
from hw.requant import psum_layout
from hw.tiling import tiling_layout
from hw.write import row_layout

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Walk a finished tile token by token, output by output.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    start, destination : In(1), In
        A MATMUL begins, and where its first token's outputs go (bytes).
    destination_stride, tokens, tiling, scales : In
        Of the MATMUL; steady while it lasts.
    i_tile : In(stream)
        Finished tiles, in order; one is taken when it has left.
    loaded : In(2)
        Halves whose channel words are there.
    half, bank, token, lane, index, enable : Out
        The accumulator and the output channel to read, from the array and the channel words.
    psum, channel : In
        What was read, one cycle later.
    o_row : Out(stream)
        Where the row whose elements follow goes.
    o : Out(stream)
        For the requantizer.
    release : Out(2)
        This half has left.

    Timing:      latency 3 cycles from tile to first element; one element a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "start": In(1),
                "destination": In(p.axi_addr_width),
                "destination_stride": In(24),
                "tokens": In(range(p.tokens + 1)),
                "tiling": In(tiling_layout(p)),
                "scales": In(data.ArrayLayout(scale_layout(p), p.tokens)),
                "i_tile": In(stream.Signature(data.StructLayout({"half": 1, "empty": 1}))),
                "loaded": In(2),
                "half": Out(1),
                "bank": Out(range(max(p.banks, 2))),
                "token": Out(range(max(p.tokens, 2))),
                "lane": Out(range(p.lanes)),
                "index": Out(range(p.tile_outputs)),
                "enable": Out(1),
                "psum": In(signed(p.acc_width)),
                "channel": In(channel_layout()),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(psum_layout(p))),
                "release": Out(2),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        lanes_log2 = log2(p.lanes)
        tile = Signal(24)
        tile_address = Signal(p.axi_addr_width)
        row_address = Signal(p.axi_addr_width)
        outputs = Signal(range(p.tile_outputs + 1))
        token = Signal(range(p.tokens + 1))
        index = Signal(range(p.tile_outputs + 1))
        m.d.comb += [
            outputs.eq(
                Mux(
                    tile == self.tiling.tiles - 1,
                    self.tiling.last.outputs,
                    self.tiling.full.outputs,
                )
            ),
            self.half.eq(self.i_tile.payload.half),
            self.bank.eq(index >> lanes_log2),
            self.lane.eq(index),
            self.token.eq(token),
            self.index.eq(index),
            self.o_row.payload.address.eq(row_address >> log2(p.axi_bytes)),
            self.o_row.payload.elements.eq(outputs),
        ]

        read_token = Signal.like(self.token)
        empty = Signal()
        move = ~self.o.valid | self.o.ready
        m.d.comb += [
            self.o.payload.psum.eq(Mux(empty, 0, self.psum)),
            self.o.payload.channel.eq(self.channel),
            self.o.payload.threshold.eq(Array(self.scales[t] for t in range(p.tokens))[read_token]),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM(name="phase"):
            with m.State("TILE"):
                m.d.sync += [token.eq(0), row_address.eq(tile_address)]
                with m.If(self.i_tile.valid & self.loaded.bit_select(self.half, 1)):
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.o_row.valid.eq(1)
                m.d.sync += index.eq(0)
                with m.If(self.o_row.ready):
                    m.next = "ELEMENTS"
            with m.State("ELEMENTS"):
                with m.If(move):
                    m.d.comb += self.enable.eq(1)
                    m.d.sync += [
                        self.o.valid.eq(1),
                        index.eq(index + 1),
                        read_token.eq(token),
                        empty.eq(self.i_tile.payload.empty),
                    ]
                    with m.If(index == outputs - 1):
                        m.d.sync += [
                            token.eq(token + 1),
                            row_address.eq(row_address + self.destination_stride),
                        ]
                        m.next = "ROW"
                        with m.If(token == self.tokens - 1):
                            m.next = "RELEASE"
            with m.State("RELEASE"):
                # The last element has been read when it has left.
                with m.If(move):
                    m.d.comb += [self.i_tile.ready.eq(1), self.release.eq(1 << self.half)]
                    m.d.sync += [
                        tile.eq(tile + 1),
                        tile_address.eq(tile_address + p.tile_outputs * VECTOR_WIDTH // 8),
                    ]
                    m.next = "TILE"
        with m.If(self.start):
            m.d.sync += [tile.eq(0), tile_address.eq(self.destination)]
        return m
