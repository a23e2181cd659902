"""Drains finished tiles: accumulators and channel words to the requantizer, rows to the writer."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, Offsets, Opcode
from hw.contract.params import SCALE_WIDTHS, VECTOR_WIDTH, HwParams
from hw.matmul.channel_words import channel_layout
from hw.matmul.scaler import group_layout, sum_index
from hw.matmul.sequencer import finished_layout
from hw.matmul.tiling import tiling_layout
from hw.memory.write import row_layout
from hw.spike.encoder import scale_layout

__all__ = ["Drain", "drain_layout", "drained_layout"]

_MATMUL = INSTRUCTIONS[Opcode.MATMUL]


def drain_layout(params: HwParams) -> data.StructLayout:
    """Return what the drain needs to know of a MATMUL; the destination is in bytes."""
    of_groups = ("scale_width_log2", "offsets", "offset_shift") if params.grouped else ()
    return data.StructLayout(
        {
            "destination": params.axi_addr_width,
            "destination_stride": 24,
            "tokens": range(params.tokens + 1),
            "bank": 1,  # of the thresholds
            "tiling": tiling_layout(params),
            **{name: _MATMUL[name].width for name in of_groups},
        }
    )


def drained_layout(params: HwParams) -> data.StructLayout:
    """Return the sums of one memory word of results, with all that requantizes them."""
    return data.StructLayout(
        {
            "psums": data.ArrayLayout(signed(params.sum_width), params.encode_lanes),
            "channels": data.ArrayLayout(channel_layout(), params.encode_lanes),
            "threshold": scale_layout(params),
        }
    )


class Drain(Component):
    """Walk finished tiles token by token, a memory word of results at a time.

    Where weights are in groups, what is finished is a group: its accumulators go to the scaler, a
    word of outputs after the other, each for all tokens, so that a word of scales is needed once.
    At the end of such a tile the scaler's sums take the accumulators' place.

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
        Finished tiles and groups, in order; one is taken when it has left.
    loaded : In(2)
        Halves of the channel words that are there.
    half, bank, token, group, enable : Out
        What to read from the array.
    ready : In(1)
        The array can be read in this cycle; where not, it shows what was read no longer.
    take : Out(1)
        What was read of the array is taken.
    channel_half, channel_group, channel_enable : Out
        Which channel words to read; the group is one within the tile.
    psums, channels : In
        What was taken, one cycle later.
    i_scales : In(stream)
        Words of scales, in order.
    o_group_valid, o_group : Out(1), Out(struct)
        What the scaler is given with `psums`.
    scaler_busy : In(1)
        It has something inside.
    sum_index, sum_enable : Out
        What to read of it.
    sums : In(array)
        What was read, one cycle later, kept while nothing is.
    o_row : Out(stream)
        Where the row whose words follow goes.
    o : Out(stream)
        For the requantizer.
    release, release_words : Out(2)
        This half of the accumulators has left, of the channel words.
    busy : Out(1)
        A tile is being walked.

    Timing:      latency 3 cycles from tile to first word; a word a cycle, and besides one cycle a
                 row and 2 a tile; later only where operations load. Of a group 2 cycles, and a word
                 a cycle; what follows waits until the scaler is empty.
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
                "i_tile": In(stream.Signature(finished_layout(p))),
                "loaded": In(2),
                "half": Out(1),
                "bank": Out(range(max(p.banks, 2))),
                "token": Out(range(max(p.tokens, 2))),
                "group": Out(range(max(p.lanes // p.encode_lanes, 2))),
                "enable": Out(1),
                "ready": In(1),
                "take": Out(1),
                "channel_half": Out(1),
                "channel_group": Out(range(p.tile_outputs // p.encode_lanes)),
                "channel_enable": Out(1),
                "psums": In(data.ArrayLayout(signed(p.acc_width), p.encode_lanes)),
                "channels": In(data.ArrayLayout(channel_layout(), p.encode_lanes)),
                "i_scales": In(stream.Signature(p.axi_data_width)),
                "o_group_valid": Out(1),
                "o_group": Out(group_layout(p)),
                "scaler_busy": In(1),
                "sum_index": Out(sum_index(p)),
                "sum_enable": Out(1),
                "sums": In(data.ArrayLayout(signed(p.sum_width), p.encode_lanes)),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(drained_layout(p))),
                "release": Out(2),
                "release_words": Out(2),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        matmul, tiling = self.i_matmul.payload, self.i_matmul.payload.tiling
        finished = self.i_tile.payload
        # A group of a tile, and sums over groups.
        is_group, is_sums = (finished.group, finished.sums) if p.grouped else (Const(0), Const(0))
        groups_log2 = exact_log2(p.lanes // p.encode_lanes)  # of a bank
        tile = Signal(24)
        words_half = Signal()
        first = Signal(init=1)  # the next tile is its MATMUL's first
        tile_address = Signal(p.axi_addr_width)
        row_address = Signal(p.axi_addr_width)
        outputs = Signal(range(p.tile_outputs + 1))
        token = Signal(range(p.tokens + 1))
        group = Signal(range(p.tile_outputs // p.encode_lanes + 1))
        last_tile = tile == tiling.tiles - 1
        m.d.comb += [
            outputs.eq(Mux(last_tile, tiling.last.outputs, tiling.full.outputs)),
            self.half.eq(finished.half),
            self.bank.eq(group >> groups_log2),
            self.group.eq(group[:groups_log2] if groups_log2 else 0),
            self.token.eq(token),
            self.channel_half.eq(words_half),
            self.o_row.payload.address.eq(row_address >> exact_log2(p.axi_bytes)),
            self.o_row.payload.bytes.eq(outputs << exact_log2(VECTOR_WIDTH // 8)),
        ]

        # Accumulators are read one group ahead of the one that moves on. An operation that loads
        # meanwhile takes the port, and with it what waits there: it is read again.
        walking = Signal()
        words = Signal()  # of an announced row
        scaling = Signal()  # words of a group
        moves = ~self.o.valid | self.o.ready
        there = Signal()  # the array shows `read_group` of `read_token`
        read_group, read_token = Signal.like(group), Signal.like(token)
        read_last = Signal()  # which is the row's last
        last_token = token == matmul.tokens - 1
        ready = Signal()
        taken = Signal()
        m.d.comb += [
            ready.eq(self.ready | is_sums),
            taken.eq(there & Mux(scaling, self.i_scales.valid, words & moves)),
            self.enable.eq(walking & (~there | (taken & ~read_last))),
            self.take.eq(taken),
            self.channel_enable.eq(taken & ~scaling),
            self.channel_group.eq(read_group),
        ]
        last_word = (group + 1) << exact_log2(p.encode_lanes) >= outputs
        with m.If(self.enable & ready):
            m.d.sync += [
                there.eq(1),
                read_group.eq(group),
                read_token.eq(token),
                read_last.eq(last_word & (~scaling | last_token)),
            ]
            with m.If(scaling & ~last_token):
                m.d.sync += token.eq(token + 1)
            with m.Else():
                m.d.sync += group.eq(group + 1)
                with m.If(scaling):
                    m.d.sync += token.eq(0)
        with m.Elif(taken | ~ready):
            m.d.sync += there.eq(0)
            with m.If(there & ~taken):
                m.d.sync += [group.eq(read_group), token.eq(read_token)]

        thresholds = Array(self.scales[bank][t] for bank in range(2) for t in range(p.tokens))
        threshold = Signal(range(2 * p.tokens))
        psums = self.psums
        if p.grouped:
            self._give_groups(m, taken & scaling, read_group, read_token, read_last)
            m.d.comb += [
                self.sum_index.eq(group * p.tokens + token),
                self.sum_enable.eq(self.enable & is_sums),
            ]
            taken_sums = Signal(self.sums.shape(), reset_less=True)
            from_sums = Signal()
            with m.If(taken):
                m.d.sync += [taken_sums.eq(self.sums), from_sums.eq(is_sums)]
            psums = [
                Mux(from_sums, total, psum)
                for total, psum in zip(taken_sums, self.psums, strict=True)
            ]
        for psum, value in zip(self.o.payload.psums, psums, strict=True):
            m.d.comb += psum.eq(Mux(finished.empty, 0, value))
        m.d.comb += [
            self.o.payload.channels.eq(self.channels),
            self.o.payload.threshold.eq(thresholds[threshold]),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken & ~scaling):
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
                m.d.sync += [token.eq(0), group.eq(0)]
                waits = ~self.loaded.bit_select(words_half, 1) | ~self.scales_ready.bit_select(
                    matmul.bank, 1
                )
                begins = self.i_matmul.valid & self.i_tile.valid & ~self.scaler_busy
                with m.If(begins & (is_group | ~waits)):
                    if p.grouped:
                        m.next = "GROUP"
                    with m.If(~is_group):
                        m.d.sync += [
                            first.eq(0),
                            row_address.eq(address),
                            tile_address.eq(address + p.tile_outputs * VECTOR_WIDTH // 8),
                        ]
                        m.next = "ROW"
            if p.grouped:
                with m.State("GROUP"):
                    m.d.comb += [walking.eq(1), scaling.eq(1)]
                    with m.If(taken & read_last):
                        m.d.comb += [self.i_tile.ready.eq(1), self.release.eq(1 << self.half)]
                        m.next = "TILE"
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
                    with m.If(last_token):
                        m.next = "RELEASE"
            with m.State("RELEASE"):
                # The last word needs its tile and threshold until it has left.
                with m.If(moves):
                    m.d.comb += [
                        self.i_tile.ready.eq(1),
                        self.release.eq(Mux(is_sums, 0, 1 << self.half)),
                        self.release_words.eq(1 << words_half),
                    ]
                    m.d.sync += [tile.eq(tile + 1), words_half.eq(~words_half)]
                    with m.If(last_tile):
                        m.d.comb += self.i_matmul.ready.eq(1)
                        m.d.sync += [tile.eq(0), first.eq(1)]
                    m.next = "TILE"
        return m

    def _give_groups(self, m, taken, group, token, last) -> None:
        """Give the scaler what belongs to accumulators that are taken: it is with them in time."""
        p = self._params
        matmul, finished = self.i_matmul.payload, self.i_tile.payload
        word, given = self.i_scales.payload, self.o_group
        zero, minimum = (
            matmul.offsets == offsets.value for offsets in (Offsets.ZERO, Offsets.MINIMUM)
        )
        wide_log2 = exact_log2(SCALE_WIDTHS[-1])
        with m.If(taken):
            m.d.sync += [
                given.spike_sum.eq(finished.spike_sums[token]),
                given.first.eq(finished.first),
                given.index.eq(group * p.tokens + token),
                given.zero.eq(zero),
                given.minimum.eq(minimum),
                given.offset_shift.eq(matmul.offset_shift),
            ]
        m.d.sync += self.o_group_valid.eq(taken)
        # Scales fill words: of several groups of outputs where they are narrow.
        final = Signal()
        for width_log2 in range(exact_log2(SCALE_WIDTHS[0]), wide_log2 + 1):
            width = 1 << width_log2
            for has_offsets in (False, True):
                bits = width << has_offsets
                parts = p.axi_data_width // (bits * p.encode_lanes)  # groups of outputs of a word
                part = group[: exact_log2(parts)] if parts > 1 else 0
                with m.If(
                    (matmul.scale_width_log2 == width_log2) & ((zero | minimum) == has_offsets)
                ):
                    m.d.comb += final.eq(part == parts - 1 if parts > 1 else 1)
                    chosen = word.word_select(part, bits * p.encode_lanes)
                    for lane in range(p.encode_lanes):
                        own = chosen.word_select(lane, bits)
                        d, offset = own[:width], own[width:] if has_offsets else Cat(0)
                        d = d if has_offsets else d.as_signed()
                        with m.If(taken):
                            m.d.sync += [
                                given.scales[lane].d.eq(d),
                                given.scales[lane].offset.eq(offset.as_signed()),
                            ]
        last_token = token == matmul.tokens - 1
        m.d.comb += self.i_scales.ready.eq(taken & last_token & (final | last))
