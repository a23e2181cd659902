"""Writes key and value rows, as the encoder makes them, into the cache in memory."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, POSITION_WIDTH, SCALE, Cache, Opcode
from hw.contract.params import FRACTION_BITS, THRESHOLD_FRACTION_BITS, HwParams
from hw.memory.write import row_layout
from hw.spike.buffer import spike_write_layout
from hw.spike.encoder import scale_layout

__all__ = ["CacheWriter"]

_CODE_WIDTH = 8


class CacheWriter(Component):
    """Execute the half of STORE that writes: a head's scale word, then its codes.

    A value row's codes lie next to each other; a key row's are each an output channel's weight of
    another row segment, and are written one by one.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i, position : In(stream), In
        A STORE instruction, in range, and the position, which is taken with it.
    i_head : In(stream)
        The encoder is about to fire a head (the payload says nothing).
    i_counts, i_scale : In(stream)
        That head's counts and threshold.
    o_row, o : Out(stream)
        Rows for the write port, and their words.
    busy : Out(1)
        An instruction is being executed.

    Timing:      a head's codes are written once all have come: 3 cycles, and 2 a key or a word of
                 values.
    Arithmetic:  addresses only, with one multiplication.
    Golden:      golden.numerics.kv
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.STORE])),
                "position": In(POSITION_WIDTH),
                "i_head": In(stream.Signature(1)),
                "i_counts": In(stream.Signature(spike_write_layout(p), always_ready=True)),
                "i_scale": In(stream.Signature(scale_layout(p), always_ready=True)),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(p.axi_data_width)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        lanes = p.encode_lanes
        byte_log2, tile_log2 = exact_log2(p.axi_bytes), exact_log2(p.tile_outputs)
        job = Signal(INSTRUCTIONS[Opcode.STORE], reset_less=True)
        position = Signal(POSITION_WIDTH)
        keys = job.cache.as_value() == Cache.KEY
        groups = Signal(range(p.tile_outputs // lanes + 1))
        m.d.comb += groups.eq((job.channels + lanes - 1) >> exact_log2(lanes))

        # The head's codes, a memory word of bytes at a time.
        groups_log2 = exact_log2(p.axi_bytes // lanes)  # of a word
        m.submodules.codes = codes = memory.Memory(
            shape=p.axi_data_width, depth=max(2, p.tile_outputs // p.axi_bytes), init=[]
        )
        write, read = codes.write_port(granularity=_CODE_WIDTH * lanes), codes.read_port()
        counts = self.i_counts.payload
        code_bytes = [Signal(_CODE_WIDTH, name=f"code{lane}") for lane in range(lanes)]
        came = Signal.like(groups)
        m.d.comb += [code.eq(count) for code, count in zip(code_bytes, counts.counts, strict=True)]
        m.d.comb += [
            write.addr.eq(counts.group >> groups_log2),
            write.data.eq(Cat(*code_bytes * (1 << groups_log2))),
            write.en.eq(Mux(self.i_counts.valid, 1 << counts.group[:groups_log2], 0)),
        ]
        with m.If(self.i_counts.valid):
            m.d.sync += came.eq(came + 1)
        scale = Signal(SCALE)
        scaled = Signal()
        with m.If(self.i_scale.valid):
            m.d.sync += [
                scaled.eq(1),
                scale.mantissa.eq(self.i_scale.payload.mantissa),
                scale.exponent.eq(
                    FRACTION_BITS + THRESHOLD_FRACTION_BITS - self.i_scale.payload.exponent
                ),
            ]

        head = Signal(job.heads.shape())
        code_base, code_address = Signal(job.codes.shape()), Signal(job.codes.shape())
        scale_address = Signal(job.scales.shape())
        product = Signal(POSITION_WIDTH + len(job.channels))
        index = Signal(range(p.tile_outputs + 1))  # of a code, of a word's first code
        row = self.o_row.payload
        row_words = Signal(range(p.row_words(p.tile_outputs, _CODE_WIDTH) + 1))  # of values
        m.d.comb += row_words.eq(_row_words(p, job.channels))
        is_scale = Signal()
        m.d.comb += [
            read.addr.eq(index >> byte_log2),
            self.o.payload.eq(read.data),
            row.address.eq(code_address >> byte_log2),
            row.bytes.eq(job.channels),
        ]
        one = Array(read.data.word_select(i, _CODE_WIDTH) for i in range(p.axi_bytes))
        with m.If(keys):
            m.d.comb += [
                row.first.eq(code_address),
                row.bytes.eq(1),
                self.o.payload.eq(one[index[:byte_log2]].replicate(p.axi_bytes)),
            ]
        with m.If(is_scale):
            m.d.comb += [
                row.address.eq(scale_address >> byte_log2),
                row.first.eq(scale_address),
                row.bytes.eq(SCALE.size // 8),
                self.o.payload.eq(scale.as_value().replicate(p.axi_data_width // SCALE.size)),
            ]

        m.d.comb += self.busy.eq(1)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.i.ready.eq(1)]
                m.d.sync += [job.eq(self.i.payload), position.eq(self.position), head.eq(0)]
                with m.If(self.i.valid):
                    m.next = "PLACE"
            with m.State("PLACE"):
                m.d.sync += [
                    product.eq(
                        Mux(keys, position >> tile_log2, position)
                        * Mux(keys, job.channels, row_words)
                    ),
                    scale_address.eq(job.scales + (position << exact_log2(SCALE.size // 8))),
                ]
                m.next = "BASE"
            with m.State("BASE"):
                distance = Mux(keys, Cat(position[:tile_log2], product), product << byte_log2)
                m.d.sync += code_base.eq(job.codes + distance)
                m.next = "HEAD"
            with m.State("HEAD"):
                m.d.comb += self.i_head.ready.eq(1)
                m.d.sync += [came.eq(0), scaled.eq(0), index.eq(0), code_address.eq(code_base)]
                with m.If(self.i_head.valid):
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                with m.If((came == groups) & scaled):
                    m.next = "SCALE"
            with m.State("SCALE"):
                m.d.comb += [is_scale.eq(1), self.o_row.valid.eq(1)]
                with m.If(self.o_row.ready):
                    m.next = "SCALE_WORD"
            with m.State("SCALE_WORD"):
                m.d.comb += [is_scale.eq(1), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.o_row.valid.eq(1)
                with m.If(self.o_row.ready):
                    m.next = "WORD"
            with m.State("READ"):
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.o.valid.eq(1)
                step = Mux(keys, 1, p.axi_bytes)
                with m.If(self.o.ready):
                    m.d.sync += [
                        index.eq(index + step),
                        code_address.eq(code_address + p.tile_outputs),
                    ]
                    m.next = "READ"
                    with m.If(keys):
                        m.next = "ROW"
                    with m.If(index + step >= job.channels):
                        m.d.sync += [
                            head.eq(head + 1),
                            code_base.eq(code_base + job.codes_stride),
                            scale_address.eq(scale_address + job.scales_stride),
                        ]
                        m.next = "HEAD"
                        with m.If(head == job.heads - 1):
                            m.next = "IDLE"
        return m


def _row_words(p: HwParams, channels):
    """Return the memory words of a value row, as `HwParams.row_words` does."""
    beats = (channels + p.lanes - 1) >> exact_log2(p.lanes)
    beat_bits = p.lanes * _CODE_WIDTH
    if beat_bits >= p.axi_data_width:
        return beats << exact_log2(beat_bits // p.axi_data_width)
    beats_of_word = p.axi_data_width // beat_bits
    return (beats + beats_of_word - 1) >> exact_log2(beats_of_word)
