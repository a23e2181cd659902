"""Drains finished tiles: accumulators and channel words to the requantizer, rows to the writer."""

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.matmul.channel_words import channel_layout
from hw.matmul.tiling import tiling_layout
from hw.memory.write import row_layout
from hw.spike.encoder import scale_layout

__all__ = ["Drain", "drain_layout", "drained_layout"]


def drain_layout(params: HwParams) -> data.StructLayout:
    """Return what the drain needs to know of a MATMUL; the destination is in bytes."""
    return data.StructLayout(
        {
            "destination": params.axi_addr_width,
            "destination_stride": 24,
            "tokens": range(params.tokens + 1),
            "bank": 1,  # of the thresholds
            "tiling": tiling_layout(params),
        }
    )


def drained_layout(params: HwParams) -> data.StructLayout:
    """Return the accumulators of one memory word of results, with all that requantizes them."""
    return data.StructLayout(
        {
            "psums": data.ArrayLayout(signed(params.acc_width), params.encode_lanes),
            "channels": data.ArrayLayout(channel_layout(), params.encode_lanes),
            "threshold": scale_layout(params),
        }
    )


class Drain(Component):
    """Walk finished tiles token by token, a memory word of results at a time.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_matmul : In(stream)
        MATMULs, in order; taken when the last tile has left.
    scales, scales_ready : In
        Thresholds by bank and token, and which banks are complete.
    i_tile : In(stream)
        Finished tiles, in order; one is taken when it has left.
    loaded : In(2)
        Halves whose channel words are there.
    half, bank, token, group, enable : Out
        What to read from the array.
    ready : In(1)
        The array can be read in this cycle; where not, it shows what was read no longer.
    take : Out(1)
        What was read of the array is taken, and its channel words are read.
    channel_group : Out
        Which channel words, of the half too; the group is one within the tile.
    psums, channels : In
        What was taken, one cycle later.
    o_row : Out(stream)
        Where the row whose words follow goes.
    o : Out(stream)
        For the requantizer.
    release : Out(2)
        This half has left.
    busy : Out(1)
        A tile is being walked.

    Timing:      latency 3 cycles from tile to first word; a word a cycle, and besides one cycle a
                 row and 2 a tile; later only where operations load.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_matmul": In(stream.Signature(drain_layout(p))),
                "scales": In(data.ArrayLayout(data.ArrayLayout(scale_layout(p), p.tokens), 2)),
                "scales_ready": In(2),
                "i_tile": In(stream.Signature(data.StructLayout({"half": 1, "empty": 1}))),
                "loaded": In(2),
                "half": Out(1),
                "bank": Out(range(max(p.banks, 2))),
                "token": Out(range(max(p.tokens, 2))),
                "group": Out(range(max(p.lanes // p.encode_lanes, 2))),
                "enable": Out(1),
                "ready": In(1),
                "take": Out(1),
                "channel_group": Out(range(p.tile_outputs // p.encode_lanes)),
                "psums": In(data.ArrayLayout(signed(p.acc_width), p.encode_lanes)),
                "channels": In(data.ArrayLayout(channel_layout(), p.encode_lanes)),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(drained_layout(p))),
                "release": Out(2),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        matmul, tiling = self.i_matmul.payload, self.i_matmul.payload.tiling
        groups_log2 = exact_log2(p.lanes // p.encode_lanes)  # of a bank
        tile = Signal(24)
        first = Signal(init=1)  # the next tile is its MATMUL's first
        tile_address = Signal(p.axi_addr_width)
        row_address = Signal(p.axi_addr_width)
        outputs = Signal(range(p.tile_outputs + 1))
        token = Signal(range(p.tokens + 1))
        group = Signal(range(p.tile_outputs // p.encode_lanes + 1))
        last_tile = tile == tiling.tiles - 1
        m.d.comb += [
            outputs.eq(Mux(last_tile, tiling.last.outputs, tiling.full.outputs)),
            self.half.eq(self.i_tile.payload.half),
            self.bank.eq(group >> groups_log2),
            self.group.eq(group[:groups_log2] if groups_log2 else 0),
            self.token.eq(token),
            self.o_row.payload.address.eq(row_address >> exact_log2(p.axi_bytes)),
            self.o_row.payload.bytes.eq(outputs << exact_log2(VECTOR_WIDTH // 8)),
        ]

        # Accumulators are read one group ahead of the one that moves on. An operation that loads
        # meanwhile takes the port, and with it what waits there: it is read again.
        walking = Signal()
        words = Signal()  # of an announced row
        moves = ~self.o.valid | self.o.ready
        there = Signal()  # the array shows `read_group`
        read_group = Signal.like(group)
        read_last = Signal()  # which is the row's last
        taken = there & words & moves
        m.d.comb += [
            self.enable.eq(walking & (~there | (taken & ~read_last))),
            self.take.eq(taken),
            self.channel_group.eq(read_group),
        ]
        with m.If(self.enable & self.ready):
            m.d.sync += [
                there.eq(1),
                read_group.eq(group),
                read_last.eq((group + 1) << exact_log2(p.encode_lanes) >= outputs),
                group.eq(group + 1),
            ]
        with m.Elif(taken | ~self.ready):
            m.d.sync += there.eq(0)
            with m.If(there & ~taken):
                m.d.sync += group.eq(read_group)

        thresholds = Array(self.scales[bank][t] for bank in range(2) for t in range(p.tokens))
        threshold = Signal(range(2 * p.tokens))
        for psum, value in zip(self.o.payload.psums, self.psums, strict=True):
            m.d.comb += psum.eq(Mux(self.i_tile.payload.empty, 0, value))
        m.d.comb += [
            self.o.payload.channels.eq(self.channels),
            self.o.payload.threshold.eq(thresholds[threshold]),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            m.d.sync += [
                self.o.valid.eq(1),
                threshold.eq(self.token + Mux(matmul.bank, p.tokens, 0)),
            ]

        m.d.comb += self.busy.eq(1)
        with m.FSM(name="phase"):
            with m.State("TILE"):
                m.d.comb += self.busy.eq(self.i_tile.valid | self.o.valid)
                address = Signal.like(tile_address)
                m.d.comb += address.eq(Mux(first, matmul.destination, tile_address))
                m.d.sync += [token.eq(0), group.eq(0), row_address.eq(address)]
                ready = self.loaded.bit_select(self.half, 1) & self.scales_ready.bit_select(
                    matmul.bank, 1
                )
                with m.If(self.i_matmul.valid & self.i_tile.valid & ready):
                    m.d.sync += [
                        first.eq(0),
                        tile_address.eq(address + p.tile_outputs * VECTOR_WIDTH // 8),
                    ]
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += [walking.eq(1), self.o_row.valid.eq(1)]
                with m.If(self.o_row.ready):
                    m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += [walking.eq(1), words.eq(1)]
                with m.If(taken & read_last):
                    m.d.sync += [
                        group.eq(0),
                        token.eq(token + 1),
                        row_address.eq(row_address + matmul.destination_stride),
                    ]
                    m.next = "ROW"
                    with m.If(token == matmul.tokens - 1):
                        m.next = "RELEASE"
            with m.State("RELEASE"):
                # The last word needs its tile and threshold until it has left.
                with m.If(moves):
                    m.d.comb += [self.i_tile.ready.eq(1), self.release.eq(1 << self.half)]
                    m.d.sync += tile.eq(tile + 1)
                    with m.If(last_tile):
                        m.d.comb += self.i_matmul.ready.eq(1)
                        m.d.sync += [tile.eq(0), first.eq(1)]
                    m.next = "TILE"
        return m
