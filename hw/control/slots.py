"""Brings the slots of a program, in the order in which they are executed."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import HEADER, INSTRUCTIONS, MAGIC, SLOT_BYTES, Opcode
from hw.contract.params import HwParams
from hw.contract.regs import Error
from hw.control.ahead import Ahead
from hw.memory.port import segment_layout, word_address_width

__all__ = ["SLOT", "Slots", "instructions"]

SLOT = data.StructLayout({"bits": 8 * SLOT_BYTES, "too_long": 1})
"""A slot, and whether its length grew by the position beyond what its field can hold."""


def instructions(slot) -> dict[Opcode, data.View]:
    """Return what a slot's bits are as each of the instructions."""
    return {opcode: layout(slot[: layout.size]) for opcode, layout in INSTRUCTIONS.items()}


class Slots(Component):
    """Read a program's header and then slot after slot, along its loops and jumps.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    fingerprint : int
        What the program's header must carry.

    Members
    -------
    start, program : In(1), In
        Begin with the program at this byte address.
    o_request, i_words : Out(stream), In(stream)
        The program's segments, and their words.
    i_records : In(stream)
        Words of the layers' records.
    o : Out(stream)
        A slot that is combined with its record, its length with the position; its payload is
        there a cycle before it is valid. It is taken when it has been executed.
    position, prefill : In(32), In(1)
        The position; PREFILL skips.
    slot_count, next_slot, looping : Out(32), Out(32), Out(1)
        How many slots there are, which one follows that on offer, and whether LAYERS repeats it.
    slot_address : Out
        Word address of the slot before that; of a bad header, of its last 32 bytes.
    failed : In(1)
        Offer no further slot.
    error : Out(Error)
        In this cycle it ends, since it has failed or for this error.
    stop : In(1)
        Throw away what was read ahead; a slot on offer is not executed any more.
    quiet : Out(1)
        It was stopped, and no word is under way.

    Timing:      per slot: a cycle a word, and 2 cycles; with a record a cycle a word of that and 3
                 more, without one, where its length depends on the position, 2 more. The first one
                 waits for memory, the others are read ahead, after a jump anew.
    Arithmetic:  lengths; exact, or too long.
    Golden:      none.
    """

    def __init__(self, params: HwParams, fingerprint: int) -> None:
        self._params, self._fingerprint = params, fingerprint
        super().__init__(
            {
                "start": In(1),
                "program": In(params.axi_addr_width),
                "o_request": Out(stream.Signature(segment_layout(params))),
                "i_words": In(stream.Signature(params.axi_data_width)),
                "i_records": In(stream.Signature(params.axi_data_width)),
                "o": Out(stream.Signature(SLOT)),
                "position": In(32),
                "prefill": In(1),
                "slot_count": Out(32),
                "next_slot": Out(32),
                "looping": Out(1),
                "slot_address": Out(word_address_width(params)),
                "failed": In(1),
                "error": Out(Error),
                "stop": In(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        slot_words = 8 * SLOT_BYTES // p.axi_data_width
        header_words = HEADER.size // p.axi_data_width
        slot_count, next_slot, looping = self.slot_count, self.next_slot, self.looping
        m.submodules.ahead = ahead = Ahead(p, room=3 * header_words)
        connect(m, ahead.o_request, flipped(self.o_request))
        connect(m, flipped(self.i_words), ahead.i_words)
        m.d.comb += [ahead.stop.eq(self.stop), self.quiet.eq(ahead.quiet)]

        # Words are shifted in from the top, so a slot or header ends aligned to the top.
        word, record_word = ahead.o_words, self.i_records
        window = Signal(HEADER.size, reset_less=True)
        header = HEADER(window)
        slot = window[-8 * SLOT_BYTES :]
        record = Signal(8 * SLOT_BYTES, reset_less=True)
        words_left = Signal(range(header_words + 1))
        too_long = Signal()
        # Words are taken while this is set: as long as some are left, and nobody stops.
        takes = Signal()
        takes_record = Signal()
        m.d.comb += [word.ready.eq(takes), record_word.ready.eq(takes_record)]
        for taken, flag, into in (
            (self.i_words, takes, window),
            (record_word, takes_record, record),
        ):
            with m.If(taken.valid & flag):
                m.d.sync += [
                    into.eq(Cat(into, taken.payload)[p.axi_data_width :]),
                    words_left.eq(words_left - 1),
                ]
                with m.If(words_left == 1):
                    m.d.sync += flag.eq(0)
        fields = instructions(slot)
        any_fields, layers = fields[Opcode.END], fields[Opcode.LAYERS]
        m.d.comb += [self.o.payload.bits.eq(slot), self.o.payload.too_long.eq(too_long)]

        program = self.program >> exact_log2(p.axi_bytes)
        base = Signal(word_address_width(p))  # of slot 0
        loop_begin = Signal(32)
        m.d.comb += self.slot_address.eq(base + ((next_slot - 1) << exact_log2(slot_words)))
        loop_end = Signal(32)
        layers_left = Signal(layers.layers.shape())
        records_left = Signal(layers.record_count.shape())

        # Looked at in NEXT only; who changes a side in the cycle before sets them too.
        loop_ends = Signal()
        program_ends = Signal()
        m.d.sync += [
            loop_ends.eq(next_slot == loop_end),
            program_ends.eq(next_slot == slot_count),
        ]

        def read(address, words, segments):
            m.d.comb += [
                ahead.start.eq(1),
                ahead.address.eq(address),
                ahead.words.eq(words),
                ahead.segments.eq(segments),
            ]

        def read_slots(first, count):
            read(base + (first << exact_log2(slot_words)), slot_words, count - first)

        def jump(target):
            m.d.sync += next_slot.eq(target)
            m.next = "JUMP"

        def fail(error):
            m.d.comb += self.error.eq(error)
            m.next = "IDLE"

        with m.FSM(name="phase"):
            with m.State("IDLE"):
                with m.If(self.start):
                    # The header with the first slot.
                    read(program, header_words + slot_words, 1)
                    m.d.sync += [
                        base.eq(program + header_words),
                        looping.eq(0),
                        records_left.eq(0),
                        too_long.eq(0),
                        next_slot.eq(0),
                        words_left.eq(header_words),
                        takes.eq(1),
                    ]
                    m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(words_left == 0):
                    read_slots(1, header.slots)
                    m.d.sync += [slot_count.eq(header.slots), program_ends.eq(0)]
                    m.next = "NEXT"
                    with m.If(header.magic != MAGIC):
                        fail(Error.BAD_MAGIC)
                    with m.Elif(header.fingerprint != self._fingerprint):
                        fail(Error.BAD_FINGERPRINT)
                    with m.Elif(header.slots == 0):
                        fail(Error.BAD_INSTRUCTION)
            with m.State("NEXT"):
                with m.If(self.failed):
                    fail(Error.BAD_INSTRUCTION)
                with m.Elif(looping & loop_ends):
                    m.d.sync += layers_left.eq(layers_left - 1)
                    with m.If(layers_left != 1):
                        jump(loop_begin)
                    with m.Else():
                        m.d.sync += looping.eq(0)
                        with m.If(records_left != 0):
                            fail(Error.BAD_INSTRUCTION)
                with m.Elif(program_ends):
                    fail(Error.BAD_INSTRUCTION)
                with m.Else():
                    m.d.sync += [
                        words_left.eq(slot_words),
                        takes.eq(1),
                        next_slot.eq(next_slot + 1),
                    ]
                    m.next = "READ"
            with m.State("JUMP"):
                m.d.comb += ahead.stop.eq(1)
                with m.If(ahead.quiet):
                    read_slots(next_slot, slot_count)
                    m.next = "NEXT"
            with m.State("READ"):
                with m.If(words_left == 0):
                    m.next = "OFFER"
                    with m.If(any_fields.layered):
                        m.d.sync += [words_left.eq(slot_words), takes_record.eq(1)]
                        m.next = "RECORD"
                    with m.Elif(any_fields.by_position):
                        m.next = "LENGTHEN"
            with m.State("RECORD"):
                with m.If(words_left == 0):
                    m.d.sync += [slot.eq(slot ^ record), records_left.eq(records_left - 1)]
                    m.next = "LENGTHEN"
                with m.If((records_left == 0) | self.failed):
                    m.d.sync += takes_record.eq(0)
                    fail(Error.BAD_INSTRUCTION)
            with m.State("LENGTHEN"):
                m.next = "SETTLE"
                for opcode, name in (
                    (Opcode.ENCODE, "channels"),
                    (Opcode.MATMUL, "outputs"),
                    (Opcode.VECTOR, "elements"),
                ):
                    with m.If(any_fields.by_position & (any_fields.opcode == opcode)):
                        length = fields[opcode][name]
                        total = length + self.position
                        m.d.sync += [
                            length.eq(total),
                            too_long.eq(total[len(length) :].any()),
                        ]
            with m.State("SETTLE"):  # who takes the slot looks at it a cycle before
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "NEXT"
                    with m.Switch(any_fields.opcode):
                        with m.Case(Opcode.NEXT):
                            jump(next_slot - 1 - fields[Opcode.NEXT].slots)
                        with m.Case(Opcode.PREFILL):
                            with m.If(self.prefill):
                                jump(next_slot + fields[Opcode.PREFILL].slots)
                        with m.Case(Opcode.LAYERS):
                            m.d.sync += [
                                looping.eq(1),
                                loop_ends.eq(0),
                                loop_begin.eq(next_slot),
                                loop_end.eq(next_slot + layers.slots),
                                layers_left.eq(layers.layers),
                                records_left.eq(layers.record_count),
                            ]
                with m.If(self.stop):
                    m.next = "IDLE"
        return m
