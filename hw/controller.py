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
        Instructions, checked; each is taken when it has been executed.
    tokens, channels : Out
        Of the last ENCODE.
    read_failed, write_failed, writing : In(1)
        The memory port's state.
    busy, done, error : Out(1), Out(1), Out
        A program runs; it ended in this cycle, with this error.

    Timing:      per instruction: a read of its slot from memory, 3 cycles.
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
                "channels": Out(range(p.max_channels + 1)),
                "read_failed": In(1),
                "write_failed": In(1),
                "writing": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        slot_words = max(1, 8 * SLOT_BYTES // p.axi_data_width)
        header_words = HEADER.size // p.axi_data_width

        # Words are shifted in from the top, so a slot or header ends aligned to the top.
        window = Signal(HEADER.size)
        header = HEADER(window)
        slot = window[-8 * SLOT_BYTES :]
        address = Signal(word_address_width(p))
        words_left = Signal(range(header_words + 1))
        slots_left = Signal(32)
        started = Signal()  # an ENCODE has filled the spike buffer
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
            self.o_request.payload.address.eq(address),
        ]
        with m.If(self.i_words.valid & self.i_words.ready):
            m.d.sync += [
                window.eq(Cat(window, self.i_words.payload)[p.axi_data_width :]),
                words_left.eq(words_left - 1),
            ]
        with m.If(self.write_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.WRITE_FAILED)
        with m.If(self.read_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.READ_FAILED)

        def fail(error):
            m.d.sync += failure.eq(Mux(failure == Error.NONE, error, failure))
            m.next = "FINISH"

        m.d.comb += self.busy.eq(1)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += [
                        address.eq(self.program >> byte_log2),
                        failure.eq(Error.NONE),
                        started.eq(0),
                    ]
                    m.next = "REQUEST_HEADER"
            with m.State("REQUEST_HEADER"):
                m.d.comb += [
                    self.o_request.valid.eq(1),
                    self.o_request.payload.words.eq(header_words),
                ]
                m.d.sync += words_left.eq(header_words)
                with m.If(self.o_request.ready):
                    m.d.sync += address.eq(address + header_words)
                    m.next = "READ_HEADER"
            with m.State("READ_HEADER"):
                m.d.comb += self.i_words.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.d.sync += slots_left.eq(header.slots)
                    m.next = "NEXT"
                    with m.If(header.magic != MAGIC):
                        fail(Error.BAD_MAGIC)
                    with m.Elif(header.fingerprint != self._fingerprint):
                        fail(Error.BAD_FINGERPRINT)
            with m.State("NEXT"):
                m.d.comb += [
                    self.o_request.valid.eq((failure == Error.NONE) & (slots_left != 0)),
                    self.o_request.payload.words.eq(slot_words),
                ]
                m.d.sync += words_left.eq(slot_words)
                with m.If(failure != Error.NONE):
                    m.next = "FINISH"
                with m.Elif(slots_left == 0):
                    fail(Error.BAD_INSTRUCTION)
                with m.Elif(self.o_request.ready):
                    m.d.sync += [
                        address.eq(address + slot_words),
                        slots_left.eq(slots_left - 1),
                    ]
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.i_words.ready.eq(words_left != 0)
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
            with m.State("ENCODE"):
                m.d.comb += self.o_encode.valid.eq(1)
                with m.If(self.o_encode.ready):
                    m.d.sync += [
                        started.eq(1),
                        self.tokens.eq(encode.tokens),
                        self.channels.eq(encode.channels),
                    ]
                    m.next = "NEXT"
            with m.State("MATMUL"):
                m.d.comb += self.o_matmul.valid.eq(1)
                with m.If(self.o_matmul.ready):
                    m.next = "NEXT"
            with m.State("FINISH"):
                with m.If(~self.writing):
                    m.d.comb += [self.done.eq(1), self.error.eq(failure)]
                    m.next = "IDLE"
        return m
