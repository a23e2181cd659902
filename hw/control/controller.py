"""The controller: checks and decodes a program's instructions, and issues them in order."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, SLOT_BYTES, Opcode
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.contract.regs import Error
from hw.control.ahead import Ahead
from hw.control.legal import legal
from hw.control.placement import Placement
from hw.control.slots import Slots, instructions
from hw.memory.port import segment_layout, word_address_width

__all__ = ["Controller"]


class Controller(Component):
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
    storing : Out(1)
        The instruction that is to be handed over is a STORE, whether it waits or not.
    tokens, bank : Out
        Of the last ENCODE: its batch, and the bank its thresholds go to; with an ENCODE, of itself.
    bank_busy : In(2)
        Banks that a MATMUL still needs.
    working : In(1)
        An instruction that was handed over has not yet been executed to its end; may rise and fall
        a cycle late.
    read_failed, write_failed : In(1)
        The memory has reported an error in this cycle.
    busy, done, error : Out(1), Out(1), Out
        A program runs; it ended in this cycle, with this error.
    slot_address : Out
        Word address of the slot that is being worked on, or was last.

    Timing:      per instruction: what `Slots` takes for its slot, and 2 cycles; VECTOR 2 more.
    Arithmetic:  addresses of token numbers.
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
                "storing": Out(1),
                "tokens": Out(range(p.tokens + 1)),
                "bank": Out(1),
                "bank_busy": In(2),
                "working": In(1),
                "read_failed": In(1),
                "write_failed": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(Error),
                "slot_address": Out(word_address_width(p)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        position, bank = self.position, Signal()
        slot_words = 8 * SLOT_BYTES // p.axi_data_width
        m.submodules.slots = slots = Slots(p, self._fingerprint)
        m.submodules.records = records = Ahead(p, room=4 * slot_words)
        m.submodules.placement = placement = Placement()
        connect(m, slots.o_request, flipped(self.o_request))
        connect(m, flipped(self.i_words), slots.i_words)
        connect(m, records.o_request, flipped(self.o_records))
        connect(m, flipped(self.i_records), records.i_words)
        connect(m, records.o_words, slots.i_records)

        fields = instructions(slots.o.payload.bits)
        any_fields, encode = fields[Opcode.END], fields[Opcode.ENCODE]
        failure = Signal(Error)
        started = Signal()  # an ENCODE has come
        token = Signal(VECTOR_WIDTH)
        fenced = any_fields.fence & self.working
        fits = legal(m, p, fields, started, slots, position)
        m.d.comb += [
            slots.program.eq(self.program),
            slots.position.eq(position),
            slots.failed.eq(failure != Error.NONE),
            placement.i.eq(fields[Opcode.VECTOR]),
            placement.position.eq(position),
            placement.token.eq(token),
            self.o_encode.payload.eq(encode),
            self.o_matmul.payload.eq(fields[Opcode.MATMUL]),
            self.o_vector.payload.eq(placement.o),
            self.o_store.payload.eq(fields[Opcode.STORE]),
            self.busy.eq(1),
            self.slot_address.eq(slots.slot_address),
            self.bank.eq(bank),
        ]
        # Registers and position stay for long enough to look at them a cycle before.
        reply, at_end, unknown, stops = (
            Signal(name=name) for name in ("reply", "at_end", "unknown", "stops")
        )
        m.d.sync += [
            slots.prefill.eq(position + 1 < self.prompt_end),
            reply.eq(position >= self.prompt_end),
            at_end.eq(position == self.end_position),
            unknown.eq(token >= fields[Opcode.TOKEN].vocabulary),
            stops.eq(token == self.stop_token),
        ]
        with m.If(self.write_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.WRITE_FAILED)
        with m.If(self.read_failed & (failure == Error.NONE)):
            m.d.sync += failure.eq(Error.READ_FAILED)

        def fail(error):
            m.d.sync += failure.eq(Mux(failure == Error.NONE, error, failure))
            m.next = "FINISH"

        def executed():
            m.d.comb += slots.o.ready.eq(1)
            m.next = "DECODE"

        def read_records(address, words, segments):
            m.d.comb += [
                records.start.eq(1),
                records.address.eq(address >> exact_log2(p.axi_bytes)),
                records.words.eq(words),
                records.segments.eq(segments),
            ]

        with m.FSM(name="phase") as phase:
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.comb += slots.start.eq(1)
                    m.d.sync += [
                        failure.eq(Error.NONE),
                        started.eq(0),
                        position.eq(self.first_position),
                        token.eq(0),
                    ]
                    m.next = "DECODE"
            with m.State("DECODE"):
                with m.If(slots.error != Error.NONE):
                    fail(slots.error)
                with m.If(slots.o.valid):
                    with m.Switch(any_fields.opcode):
                        for opcode in INSTRUCTIONS:
                            with m.Case(opcode):
                                m.next = {
                                    Opcode.END: "FINISH",
                                    Opcode.VECTOR: "PRODUCTS",
                                    Opcode.NEXT: "NEXT_POSITION",
                                }.get(opcode, opcode.name)
                                with m.If(~fits[opcode] | slots.o.payload.too_long):
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
                    executed()
            with m.State("PRODUCTS"):
                m.d.comb += placement.start.eq(1)
                m.next = "PLACE"
            with m.State("PLACE"):
                with m.If(placement.done):
                    m.next = "VECTOR"
            for opcode, out in (
                (Opcode.MATMUL, self.o_matmul),
                (Opcode.VECTOR, self.o_vector),
                (Opcode.STORE, self.o_store),
            ):
                with m.State(opcode.name):
                    m.d.comb += out.valid.eq(~fenced)
                    with m.If(out.valid & out.ready):
                        executed()

            # Instructions for itself; `Slots` follows loops and jumps.
            with m.State("TOKEN"):
                with m.If(failure != Error.NONE):
                    m.next = "FINISH"
                with m.Elif(~self.working):
                    m.next = "FINISH"
                    with m.If(~at_end):
                        place = position << exact_log2(VECTOR_WIDTH // 8)
                        read_records(fields[Opcode.TOKEN].tokens + place, 1, 1)
                        m.next = "NUMBER"
            with m.State("NUMBER"):
                place = position[: exact_log2(p.encode_lanes)]
                m.d.comb += records.o_words.ready.eq(1)
                m.d.sync += token.eq(records.o_words.payload.word_select(place, VECTOR_WIDTH))
                with m.If(records.o_words.valid):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(unknown):
                    fail(Error.BAD_TOKEN)
                with m.Elif(reply & stops):
                    m.next = "FINISH"
                with m.Else():
                    executed()
            with m.State("NEXT_POSITION"):
                m.d.sync += position.eq(position + 1)
                executed()
            with m.State("PREFILL"):
                executed()
            with m.State("LAYERS"):
                layers = fields[Opcode.LAYERS]
                read_records(layers.records, slot_words, layers.record_count)
                executed()
            with m.State("FINISH"):
                m.d.comb += [slots.stop.eq(1), records.stop.eq(1)]
                with m.If(slots.quiet & records.quiet & ~self.working):
                    m.d.comb += [self.done.eq(1), self.error.eq(failure)]
                    m.next = "IDLE"
        m.d.comb += self.storing.eq(phase.ongoing("STORE"))
        return m
