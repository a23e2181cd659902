"""The controller: fetches the program, checks and decodes it, issues its instructions in order."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.isa import HEADER, INSTRUCTIONS, MAGIC, SLOT_BYTES, Coding, Opcode, Rule
from hw.memory_port import log2, segment_layout, word_address_width
from hw.params import HwParams
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
    o_request, i_words : Out(stream), In(stream)
        The program's segments, and their words.
    o_encode, o_matmul : Out(stream)
        Instructions, checked.
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

    Timing:      per instruction: a cycle a word of its slot, and 4 cycles; the first one waits for
                 memory, the others are read ahead.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams, fingerprint: int) -> None:
        self._params, self._fingerprint = params, fingerprint
        p = params
        super().__init__(
            {
                "start": In(1),
                "program": In(p.axi_addr_width),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "o_encode": Out(stream.Signature(INSTRUCTIONS[Opcode.ENCODE])),
                "o_matmul": Out(stream.Signature(INSTRUCTIONS[Opcode.MATMUL])),
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

        # Words are shifted in from the top, so a slot or header ends aligned to the top.
        window = Signal(HEADER.size)
        header = HEADER(window)
        slot = window[-8 * SLOT_BYTES :]
        words_left = Signal(range(header_words + 1))
        slots_left = Signal(32)
        started = Signal()  # an ENCODE has come
        failure = Signal(Error)
        encode, matmul = (
            INSTRUCTIONS[opcode](slot[: INSTRUCTIONS[opcode].size])
            for opcode in (Opcode.ENCODE, Opcode.MATMUL)
        )
        encode_fits = Signal()
        matmul_fits = Signal()
        byte_log2 = log2(p.axi_bytes)
        opcode_width = INSTRUCTIONS[Opcode.END].size

        def aligned(*addresses):
            return ~Cat(*(a[:byte_log2] for a in addresses)).any()

        m.d.comb += [
            encode_fits.eq(
                (encode.rule.as_value() < len(Rule))
                & (encode.tokens != 0)
                & (encode.tokens <= p.tokens)
                & (encode.channels != 0)
                & (encode.channels <= p.max_channels)
                & (encode.max_count != 0)
                & (encode.max_count <= p.max_count)
                & (encode.divisor != 0)
                & aligned(encode.source, encode.source_stride)
            ),
            matmul_fits.eq(
                started
                & (matmul.coding.as_value() < len(Coding))
                & matmul.weight_width.matches(*p.weight_widths)
                & (matmul.outputs != 0)
                & aligned(
                    matmul.weights,
                    matmul.channel_words,
                    matmul.destination,
                    matmul.destination_stride,
                )
            ),
            self.o_encode.payload.eq(encode),
            self.o_matmul.payload.eq(matmul),
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
                        words_left.eq(header_words),
                    ]
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += word.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.d.sync += [
                        slots_left.eq(header.slots),
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
                m.d.sync += [words_left.eq(slot_words), slots_left.eq(slots_left - 1)]
                m.next = "READ"
                with m.If(failure != Error.NONE):
                    m.next = "FINISH"
                with m.Elif(slots_left == 0):
                    fail(Error.BAD_INSTRUCTION)
            with m.State("READ"):
                m.d.comb += word.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.next = "DECODE"
            with m.State("DECODE"):
                with m.Switch(slot[:opcode_width]):
                    with m.Case(Opcode.ENCODE.value):
                        m.next = "ENCODE"
                        with m.If(~encode_fits):
                            fail(Error.BAD_INSTRUCTION)
                    with m.Case(Opcode.MATMUL.value):
                        m.next = "MATMUL"
                        with m.If(~matmul_fits):
                            fail(Error.BAD_INSTRUCTION)
                    with m.Case(Opcode.END.value):
                        m.next = "FINISH"
                    with m.Default():
                        fail(Error.BAD_INSTRUCTION)
                with m.If(failure != Error.NONE):  # the slot may not be what memory holds
                    m.next = "FINISH"
            with m.State("ENCODE"):
                # The other bank: MATMULs of the ENCODE before may still need theirs.
                fenced = encode.fence & self.working
                m.d.comb += [
                    self.bank.eq(~bank),
                    self.o_encode.valid.eq(~fenced & ~self.bank_busy.bit_select(self.bank, 1)),
                ]
                with m.If(self.o_encode.valid & self.o_encode.ready):
                    m.d.sync += [started.eq(1), self.tokens.eq(encode.tokens), bank.eq(~bank)]
                    m.next = "NEXT"
            with m.State("MATMUL"):
                m.d.comb += self.o_matmul.valid.eq(1)
                with m.If(self.o_matmul.ready):
                    m.next = "NEXT"
            with m.State("FINISH"):
                # What was read ahead is thrown away; a request that waits stays.
                m.d.sync += reading.eq(request.valid & ~request.ready)
                m.d.comb += word.ready.eq(1)
                with m.If(~reading & ~self.working & (words_under_way == 0)):
                    m.d.comb += [self.done.eq(1), self.error.eq(failure)]
                    m.next = "IDLE"
        return m
