"""The controller: fetches the program, checks and decodes it, issues its instructions in order."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.isa import HEADER, INSTRUCTIONS, MAGIC, POSITION_WIDTH, SLOT_BYTES, Opcode, VectorOp
from hw.legal import legal
from hw.memory_port import log2, segment_layout, word_address_width
from hw.params import VECTOR_WIDTH, HwParams
from hw.regs import Error

__all__ = ["Controller"]


class Controller(wiring.Component):
    """Run a program from its header to its END, or to the first error.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    fingerprint : int
        What the program's header must carry.

    Members
    -------
    start, program : In(1), In
        Run the program at this byte address.
    first_position, prompt_end, end_position, stop_token : In
        Registers that TOKEN, NEXT and PREFILL go by.
    position : Out(32)
        The position.
    o_request, i_words : Out(stream), In(stream)
        The program's segments, and their words.
    o_records, i_records : Out(stream), In(stream)
        Segments of layers' records and of token numbers, and their words.
    o_encode, o_matmul, o_vector, o_store : Out(stream)
        Instructions, checked, with what position and token add to their lengths and addresses.
    tokens, bank : Out
        Of the last ENCODE: its batch, and the bank its thresholds go to; with an ENCODE, of itself.
    bank_busy : In(2)
        Banks that a MATMUL still needs.
    working : In(1)
        An instruction that was handed over has not yet been executed to its end.
    read_failed, write_failed : In(1)
        The memory has reported an error in this cycle.
    busy, done, error : Out(1), Out(1), Out
        A program runs; it ended in this cycle, with this error.

    Timing:      per instruction: a cycle a word of its slot, and 4 cycles; with a record a cycle a
                 word of that and 2 more, without one, where it depends on the position, 1 more;
                 VECTOR 2 more. The first one waits for memory, the others are read ahead, after a
                 jump anew.
    Arithmetic:  addresses, with two multiplications.
    Golden:      none.
    """

    def __init__(self, params: HwParams, fingerprint: int) -> None:
        self._params, self._fingerprint = params, fingerprint
        p = params
        super().__init__(
            {
                "start": In(1),
                "program": In(p.axi_addr_width),
                "first_position": In(32),
                "prompt_end": In(32),
                "end_position": In(32),
                "stop_token": In(32),
                "position": Out(32),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "o_records": Out(stream.Signature(segment_layout(p))),
                "i_records": In(stream.Signature(p.axi_data_width)),
                "o_encode": Out(stream.Signature(INSTRUCTIONS[Opcode.ENCODE])),
                "o_matmul": Out(stream.Signature(INSTRUCTIONS[Opcode.MATMUL])),
                "o_vector": Out(stream.Signature(INSTRUCTIONS[Opcode.VECTOR])),
                "o_store": Out(stream.Signature(INSTRUCTIONS[Opcode.STORE])),
                "tokens": Out(range(p.tokens + 1)),
                "bank": Out(1),
                "bank_busy": In(2),
                "working": In(1),
                "read_failed": In(1),
                "write_failed": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        slot_words = 8 * SLOT_BYTES // p.axi_data_width
        header_words = HEADER.size // p.axi_data_width
        byte_log2 = log2(p.axi_bytes)
        position = self.position

        # The reader runs ahead: the header with the first slot, then slot after slot.
        reading = Signal()
        address = Signal(word_address_width(p))
        slots_wanted = Signal(32)
        first_request = Signal()
        words_under_way = Signal(range(4 * header_words + 1))
        known = Signal()  # the header has come and is right
        request, word = self.o_request, self.i_words
        m.d.comb += [
            request.payload.address.eq(address),
            request.payload.words.eq(Mux(first_request, header_words + slot_words, slot_words)),
            request.valid.eq(
                reading
                & (first_request | (known & (slots_wanted != 0)))
                & (words_under_way <= 3 * header_words - slot_words)
            ),
        ]
        asked = Mux(request.valid & request.ready, request.payload.words, 0)
        m.d.sync += words_under_way.eq(words_under_way + asked - (word.valid & word.ready))
        with m.If(request.valid & request.ready):
            m.d.sync += [address.eq(address + request.payload.words), first_request.eq(0)]
            with m.If(~first_request):
                m.d.sync += slots_wanted.eq(slots_wanted - 1)

        # So does the reader of the layers' records; between layers it fetches token numbers.
        records_wanted = Signal(INSTRUCTIONS[Opcode.LAYERS]["record_count"].shape)
        records_left = Signal.like(records_wanted)
        record_address = Signal(word_address_width(p))
        record_words = Signal(range(4 * slot_words + 1))  # under way
        token_wanted = Signal()
        records, record_word = self.o_records, self.i_records
        m.d.comb += [
            records.payload.address.eq(record_address),
            records.payload.words.eq(Mux(token_wanted, 1, slot_words)),
            records.valid.eq(
                token_wanted | ((records_wanted != 0) & (record_words <= 3 * slot_words))
            ),
        ]
        asked = Mux(records.valid & records.ready, records.payload.words, 0)
        taken = record_word.valid & record_word.ready
        m.d.sync += record_words.eq(record_words + asked - taken)
        with m.If(records.valid & records.ready):
            m.d.sync += [
                record_address.eq(record_address + records.payload.words),
                token_wanted.eq(0),
            ]
            with m.If(~token_wanted):
                m.d.sync += records_wanted.eq(records_wanted - 1)

        # Words are shifted in from the top, so a slot or header ends aligned to the top.
        window = Signal(HEADER.size)
        header = HEADER(window)
        slot = window[-8 * SLOT_BYTES :]
        record = Signal(8 * SLOT_BYTES)
        words_left = Signal(range(header_words + 1))
        fields = {opcode: layout(slot[: layout.size]) for opcode, layout in INSTRUCTIONS.items()}
        encode, matmul = fields[Opcode.ENCODE], fields[Opcode.MATMUL]
        vector, store = fields[Opcode.VECTOR], fields[Opcode.STORE]
        any_fields = fields[Opcode.END]
        failure = Signal(Error)
        started = Signal()  # an ENCODE has come
        too_long = Signal()  # a length that grew by the position does not fit its field
        m.d.comb += [
            self.o_encode.payload.eq(encode),
            self.o_matmul.payload.eq(matmul),
            self.o_vector.payload.eq(vector),
            self.o_store.payload.eq(store),
        ]
        with m.If(word.valid & word.ready):
            m.d.sync += [
                window.eq(Cat(window, word.payload)[p.axi_data_width :]),
                words_left.eq(words_left - 1),
            ]
        with m.If(self.write_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.WRITE_FAILED)
        with m.If(self.read_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.READ_FAILED)

        def fail(error):
            m.d.sync += failure.eq(Mux(failure == Error.NONE, error, failure))
            m.next = "FINISH"

        # Where the program is.
        base = Signal(word_address_width(p))  # of slot 0
        slots = Signal(32)
        next_slot = Signal(32)
        looping = Signal()
        loop_begin = Signal(32)
        loop_end = Signal(32)
        layers_left = Signal(INSTRUCTIONS[Opcode.LAYERS]["layers"].shape)
        token = Signal(INSTRUCTIONS[Opcode.TOKEN]["vocabulary"].shape)
        product_a = Signal(len(vector.a))
        product_b = Signal(len(vector.b))
        fenced = any_fields.fence & self.working
        fits = legal(m, p, fields, started, looping, slots, next_slot, position)

        def jump(target):
            m.d.sync += next_slot.eq(target)
            m.next = "JUMP"

        bank = Signal()
        m.d.comb += [self.busy.eq(1), self.bank.eq(bank)]
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += [
                        address.eq(self.program >> byte_log2),
                        reading.eq(1),
                        first_request.eq(1),
                        known.eq(0),
                        failure.eq(Error.NONE),
                        started.eq(0),
                        looping.eq(0),
                        records_left.eq(0),
                        too_long.eq(0),
                        position.eq(self.first_position),
                        token.eq(0),
                        next_slot.eq(0),
                        base.eq((self.program >> byte_log2) + header_words),
                        words_left.eq(header_words),
                    ]
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += word.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.d.sync += [
                        slots.eq(header.slots),
                        slots_wanted.eq(header.slots - 1),
                        known.eq(1),
                    ]
                    m.next = "NEXT"
                    with m.If(header.magic != MAGIC):
                        fail(Error.BAD_MAGIC)
                    with m.Elif(header.fingerprint != self._fingerprint):
                        fail(Error.BAD_FINGERPRINT)
                    with m.Elif(header.slots == 0):
                        fail(Error.BAD_INSTRUCTION)
            with m.State("NEXT"):
                with m.If(failure != Error.NONE):
                    m.next = "FINISH"
                with m.Elif(looping & (next_slot == loop_end)):
                    m.d.sync += layers_left.eq(layers_left - 1)
                    with m.If(layers_left != 1):
                        jump(loop_begin)
                    with m.Else():
                        m.d.sync += looping.eq(0)
                        with m.If(records_left != 0):
                            fail(Error.BAD_INSTRUCTION)
                with m.Elif(next_slot == slots):
                    fail(Error.BAD_INSTRUCTION)
                with m.Else():
                    m.d.sync += [words_left.eq(slot_words), next_slot.eq(next_slot + 1)]
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += word.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.next = "DECODE"
                    with m.If(any_fields.layered):
                        m.d.sync += words_left.eq(slot_words)
                        m.next = "RECORD"
                    with m.Elif(any_fields.by_position):
                        m.next = "LENGTHEN"
            with m.State("RECORD"):
                m.d.comb += record_word.ready.eq(words_left != 0)
                with m.If(taken):
                    m.d.sync += [
                        record.eq(Cat(record, record_word.payload)[p.axi_data_width :]),
                        words_left.eq(words_left - 1),
                    ]
                with m.If(words_left == 0):
                    m.d.sync += [slot.eq(slot ^ record), records_left.eq(records_left - 1)]
                    m.next = "LENGTHEN"
                with m.If((records_left == 0) | (failure != Error.NONE)):
                    fail(Error.BAD_INSTRUCTION)
            with m.State("LENGTHEN"):
                m.next = "DECODE"
                for opcode, name in (
                    (Opcode.ENCODE, "channels"),
                    (Opcode.MATMUL, "outputs"),
                    (Opcode.VECTOR, "elements"),
                ):
                    with m.If(any_fields.by_position & (any_fields.opcode == opcode)):
                        length = fields[opcode][name]
                        total = length + position
                        m.d.sync += [
                            length.eq(total),
                            too_long.eq(total[len(length) :].any()),
                        ]
            with m.State("DECODE"):
                with m.Switch(any_fields.opcode):
                    for opcode in INSTRUCTIONS:
                        with m.Case(opcode):
                            m.next = {
                                Opcode.END: "FINISH",
                                Opcode.VECTOR: "PRODUCTS",
                                Opcode.NEXT: "NEXT_POSITION",
                            }.get(opcode, opcode.name)
                            with m.If(~fits[opcode] | too_long):
                                fail(Error.BAD_INSTRUCTION)
                    with m.Default():
                        fail(Error.BAD_INSTRUCTION)
                # Others wait with what they hand over, or always.
                with m.If(
                    fenced
                    & any_fields.opcode.as_value().matches(
                        Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS
                    )
                ):
                    m.next = "DECODE"
                with m.If(failure != Error.NONE):  # the slot may not be what memory holds
                    m.next = "FINISH"

            # Instructions for others.
            with m.State("ENCODE"):
                # The other bank: MATMULs of the ENCODE before may still need theirs.
                m.d.comb += [
                    self.bank.eq(~bank),
                    self.o_encode.valid.eq(~fenced & ~self.bank_busy.bit_select(self.bank, 1)),
                ]
                with m.If(self.o_encode.valid & self.o_encode.ready):
                    m.d.sync += [started.eq(1), self.tokens.eq(encode.tokens), bank.eq(~bank)]
                    m.next = "NEXT"
            with m.State("MATMUL"):
                m.d.comb += self.o_matmul.valid.eq(~fenced)
                with m.If(self.o_matmul.valid & self.o_matmul.ready):
                    m.next = "NEXT"
            with m.State("STORE"):
                m.d.comb += self.o_store.valid.eq(~fenced)
                with m.If(self.o_store.valid & self.o_store.ready):
                    m.next = "NEXT"
            with m.State("PRODUCTS"):
                m.d.sync += [
                    product_a.eq(token * vector.stride),
                    product_b.eq(position[:POSITION_WIDTH] * vector.stride),
                ]
                m.next = "PLACE"
            with m.State("PLACE"):
                argmax = vector.operation == VectorOp.ARGMAX
                number = (position + 1) << log2(VECTOR_WIDTH // 8)
                m.d.sync += [
                    vector.a.eq(vector.a + Mux(vector.a_by_token, product_a, 0)),
                    vector.b.eq(vector.b + Mux(vector.b_by_position, product_b, 0)),
                    vector.destination.eq(vector.destination + Mux(argmax, number, 0)),
                ]
                m.next = "VECTOR"
            with m.State("VECTOR"):
                m.d.comb += self.o_vector.valid.eq(~fenced)
                with m.If(self.o_vector.valid & self.o_vector.ready):
                    m.next = "NEXT"

            # Instructions for itself.
            with m.State("TOKEN"):
                tokens = fields[Opcode.TOKEN].tokens
                m.d.sync += record_address.eq(
                    (tokens + (position << log2(VECTOR_WIDTH // 8))) >> byte_log2
                )
                with m.If(failure != Error.NONE):
                    m.next = "FINISH"
                with m.Elif(~self.working):
                    m.next = "FINISH"
                    with m.If(position != self.end_position):
                        m.d.sync += token_wanted.eq(1)
                        m.next = "NUMBER"
            with m.State("NUMBER"):
                place = position[: log2(p.encode_lanes)]
                number = record_word.payload.word_select(place, VECTOR_WIDTH)
                m.d.comb += record_word.ready.eq(1)
                m.d.sync += token.eq(number)
                with m.If(record_word.valid):
                    m.next = "NEXT"
                    with m.If((position >= self.prompt_end) & (number == self.stop_token)):
                        m.next = "FINISH"
                    with m.If(number >= fields[Opcode.TOKEN].vocabulary):
                        fail(Error.BAD_TOKEN)
            with m.State("NEXT_POSITION"):
                m.d.sync += position.eq(position + 1)
                jump(next_slot - 1 - fields[Opcode.NEXT].slots)
            with m.State("PREFILL"):
                m.next = "NEXT"
                with m.If(position + 1 < self.prompt_end):
                    jump(next_slot + fields[Opcode.PREFILL].slots)
            with m.State("LAYERS"):
                layers = fields[Opcode.LAYERS]
                m.d.sync += [
                    looping.eq(1),
                    loop_begin.eq(next_slot),
                    loop_end.eq(next_slot + layers.slots),
                    layers_left.eq(layers.layers),
                    records_wanted.eq(layers.record_count),
                    records_left.eq(layers.record_count),
                    record_address.eq(layers.records >> byte_log2),
                ]
                m.next = "NEXT"
            with m.State("JUMP"):
                # What was read ahead is thrown away; a request that waits stays.
                m.d.sync += reading.eq(request.valid & ~request.ready)
                m.d.comb += word.ready.eq(1)
                with m.If(~reading & (words_under_way == 0)):
                    m.d.sync += [
                        reading.eq(1),
                        address.eq(base + (next_slot << log2(slot_words))),
                        slots_wanted.eq(slots - next_slot),
                    ]
                    m.next = "NEXT"
            with m.State("FINISH"):
                m.d.sync += [
                    reading.eq(request.valid & ~request.ready),
                    records_wanted.eq(records.valid & ~records.ready),
                ]
                m.d.comb += [word.ready.eq(1), record_word.ready.eq(1)]
                quiet = ~reading & (words_under_way == 0)
                quiet = quiet & (records_wanted == 0) & (record_words == 0)
                with m.If(quiet & ~self.working):
                    m.d.comb += [self.done.eq(1), self.error.eq(failure)]
                    m.next = "IDLE"
        return m
