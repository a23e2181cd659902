"""Controller, encoder and the banks of thresholds: stream rules, and that nobody overwrites a bank.

An ENCODE is handed over only if no MATMUL needs the bank it will write; the matrix path counts the
MATMULs of each bank; and the encoder touches no other bank, nor one that is complete.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from hw.contract.isa import INSTRUCTIONS, SLOT_BYTES, Opcode
from hw.contract.params import HwParams
from hw.control.controller import Controller
from hw.control.slots import instructions
from hw.matmul.drain import drain_layout
from hw.matmul.matmul import MatrixPath
from hw.spike.encoder import Encoder
from hw.spike.exponents import Exponents
from tests.formal.rules import Opened, free, handshake, keeps, sink, source

_IN_ONE_STATE = (Opcode.ENCODE, Opcode.MATMUL, Opcode.STORE, Opcode.PREFILL, Opcode.LAYERS)


def encoder(m: Module, p: HwParams) -> None:
    dut = Encoder(p)
    inside = Opened(m, dut)
    site = dut.i.payload
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.bank, dut.store)
    m.d.comb += [
        Assume((site.tokens != 0) & (dut.store | (site.tokens <= p.tokens))),
        Assume((site.channels != 0) & (site.channels <= p.max_channels)),
    ]

    # The memory delivers what was asked for: `groups` words a request, in order, but for the first
    # where there are exponents.
    asked, came = Signal(8), Signal(8)
    words_came = Signal(range(p.max_channels + 1))
    groups, tokens = Signal(range(p.max_channels + 1)), Signal(8)
    has_exponents, exponents_asked, exponents_came = Signal(), Signal(), Signal()
    exponent_words, exponents = Signal.like(groups), Signal.like(groups)
    first_due = has_exponents & ~exponents_came
    m.d.comb += exponent_words.eq(((groups - 1) >> Exponents.WORDS_LOG2) + 1)
    with m.If(handshake(dut.i)):
        m.d.sync += [asked.eq(0), came.eq(0), tokens.eq(site.tokens)]
        m.d.sync += groups.eq((site.channels + p.encode_lanes - 1) >> exact_log2(p.encode_lanes))
        m.d.sync += has_exponents.eq(site.largest_exponent != 0)
        m.d.sync += [exponents_asked.eq(0), exponents_came.eq(0)]
    asks_exponents = has_exponents & ~exponents_asked
    with m.If(handshake(dut.o_request)):
        with m.If(asks_exponents):
            m.d.sync += exponents_asked.eq(1)
        with m.Else():
            m.d.sync += asked.eq(asked + 1)
    with m.If(handshake(dut.i_words) & first_due):
        m.d.sync += exponents.eq(exponents + 1)
        with m.If(exponents == exponent_words - 1):
            m.d.sync += [exponents_came.eq(1), exponents.eq(0)]
    with m.Elif(handshake(dut.i_words)):
        m.d.sync += words_came.eq(words_came + 1)
        with m.If(words_came == groups - 1):
            m.d.sync += [came.eq(came + 1), words_came.eq(0)]
    m.d.comb += Assume(~dut.i_words.valid | Mux(first_due, exponents_asked, came < asked))

    sink(m, dut.o_request, "o_request")
    sink(m, dut.o_batch, "o_batch")
    sink(m, dut.o_head, "o_head")
    wanted = Mux(asks_exponents, exponent_words, groups)
    m.d.comb += Assert(~handshake(dut.o_request) | (dut.o_request.payload.words == wanted))
    token, group = inside.signal("token"), inside.signal("group")
    load, settle = inside.state("phase", "LOAD"), inside.state("phase", "SETTLE")
    between = inside.state("phase", "POTENTIAL", "THRESHOLD", "FIRE")
    idle = inside.state("phase", "IDLE")
    first = inside.state("phase", "EXPONENTS")
    m.d.comb += [
        Assert(idle | first | load | between | settle),
        Assert(idle | (first == first_due)),
        Assert(idle | (inside.signal("wants_exponents") == asks_exponents)),
        Assert(~asks_exponents | idle | (asked == 0)),
        Assert(inside.signal("exponents.written") == exponents),
        Assert((exponents == 0) | (first & exponents_asked & (exponents < exponent_words))),
        Assert(~first | ((came == 0) & (words_came == 0) & (token == 0) & (group == 0))),
        Assert(~first | (tokens != 0)),
        Assert(asked == inside.signal("requested")),
        Assert((asked <= tokens) & (came <= asked)),
        Assert((words_came == 0) | (load & (came < asked) & (words_came < groups))),
        Assert(~load | ((came == token) & (token < tokens) & (words_came == group))),
        Assert(~between | ((came == token + 1) & (token < tokens))),
        Assert(~settle | ((came == token) & (token == tokens))),
        Assert(idle | (inside.signal("groups") == groups)),
        Assert(idle | (inside.signal("last_group") == (group == groups - 1))),
        Assert(idle | (group < groups)),
        # What has arrived is written before anything is read of it.
        Assert(~inside.signal("arrived_valid") | load | inside.state("phase", "POTENTIAL")),
        Assert(~inside.collides("vector")),
        Assert(~inside.collides("exponents.memory")),
        Assert(idle | (groups != 0)),
        Assert(groups <= p.max_channels // p.encode_lanes),
        Assert(dut.storing | (tokens <= p.tokens)),
        Assert(idle | (INSTRUCTIONS[Opcode.ENCODE](inside.signal("site")).tokens == tokens)),
    ]
    scaled, normalizing = inside.signal("scaled_token"), inside.signal("normalizing")
    started = token + inside.state("phase", "FIRE")  # thresholds that have been found
    m.d.comb += [
        Assert(idle | (scaled + normalizing == started)),
        Assert(~normalizing | ~idle),
    ]
    with m.If(~idle & ~dut.storing):
        ready = dut.scales_ready.bit_select(inside.signal("bank"), 1)
        m.d.comb += Assert(ready == (scaled == tokens))
    for bank in range(2):
        another = ~(handshake(dut.i) & (dut.bank == bank) & ~dut.store)
        kept = (dut.scales_ready[bank], dut.scales[bank])
        keeps(m, Assert, dut.scales_ready[bank] & another, *kept, name=f"bank{bank}")
    m.d.comb += Cover(handshake(dut.o_batch))
    m.d.comb += Cover(dut.scales_ready == 0b10)
    m.d.comb += Cover(handshake(dut.o_head))


def controller(m: Module, p: HwParams) -> None:
    dut = Controller(p, fingerprint=0)
    source(m, dut.i_words, "i_words")
    source(m, dut.i_records, "i_records")
    free(m, dut.start, dut.program, dut.bank_busy, dut.working, dut.read_failed, dut.write_failed)
    free(m, dut.first_position, dut.prompt_end, dut.end_position, dut.stop_token)
    inside = Opened(m, dut)
    m.d.comb += Assume(~dut.start | ~dut.busy)
    # The memory delivers what was asked for.
    under_way = Signal(16)
    asked = Mux(handshake(dut.o_request), dut.o_request.payload.words, 0)
    m.d.sync += under_way.eq(under_way + asked - handshake(dut.i_words))
    m.d.comb += Assume(~dut.i_words.valid | (under_way != 0))
    idle, finish = inside.state("phase", "IDLE"), inside.state("phase", "FINISH")
    rest, header = inside.state("slots.phase", "IDLE"), inside.state("slots.phase", "HEADER")
    jump, offer = inside.state("slots.phase", "JUMP"), inside.state("slots.phase", "OFFER")
    reading, wanted, words_left = (
        inside.signal(f"slots.{name}") for name in ("ahead.reading", "ahead.wanted", "words_left")
    )
    m.d.comb += [
        Assert(under_way == inside.signal("slots.ahead.under_way")),
        Assert(
            inside.signal("slots.takes")
            == ((header | inside.state("slots.phase", "READ")) & (words_left != 0))
        ),
        Assert(~idle | ~(reading | (under_way != 0))),
        Assert(idle | finish | jump | reading),
        Assert(~header | (wanted == 0) | ((wanted == 1) & (under_way == 0) & (words_left != 0))),
        # A slot is brought while it waits for one; else it is on offer, until it is executed.
        Assert(inside.state("phase", "DECODE") | offer | rest),
        Assert(Mux(rest, idle | finish, ~idle)),
        Assert(~inside.state("phase", "VECTOR") | (inside.signal("placement.bits_left") == 0)),
    ]
    slot = instructions(inside.signal("slots.window")[-8 * SLOT_BYTES :])[Opcode.END]
    for opcode, *states in (
        (Opcode.VECTOR, "PRODUCTS", "PLACE", "VECTOR"),
        (Opcode.TOKEN, "TOKEN", "NUMBER", "COMPARE", "CHECK"),
        (Opcode.NEXT, "NEXT_POSITION"),
        *((o, o.name) for o in _IN_ONE_STATE),
    ):
        m.d.comb += Assert(~inside.state("phase", *states) | (slot.opcode == opcode))
    _records(m, p, dut, inside)
    # What is done stays done until another instruction is handed over.
    handed = (dut.o_encode, dut.o_matmul, dut.o_vector, dut.o_store)
    quiet = ~Cat(*(handshake(stream) for stream in handed)).any()
    for bank in range(2):
        keeps(m, Assume, quiet & ~dut.bank_busy[bank], dut.bank_busy[bank], name=f"bank{bank}")
    keeps(m, Assume, quiet & ~dut.working, dut.working, name="working")
    sink(m, dut.o_request, "o_request")
    sink(m, dut.o_records, "o_records")
    for opcode, stream in zip(("encode", "matmul", "vector", "store"), handed, strict=True):
        sink(m, stream, f"o_{opcode}")
        m.d.comb += Assert(~handshake(stream) | ~stream.payload.fence | ~dut.working)
    m.d.comb += Assert(~handshake(dut.o_encode) | ~dut.bank_busy.bit_select(dut.bank, 1))
    m.d.comb += Cover(handshake(dut.o_encode))
    m.d.comb += Cover(handshake(dut.o_records))


def _records(m: Module, p: HwParams, dut: Controller, inside: Opened) -> None:
    """Assert that all records of a loop are taken, those and nothing else."""
    slot_words = 8 * SLOT_BYTES // p.axi_data_width
    under_way = Signal(16)
    asked = Mux(handshake(dut.o_records), dut.o_records.payload.words, 0)
    m.d.sync += under_way.eq(under_way + asked - handshake(dut.i_records))
    m.d.comb += Assume(~dut.i_records.valid | (under_way != 0))
    reading, wanted, words, left, looping, words_left = (
        inside.signal(name)
        for name in (
            "records.reading",
            "records.wanted",
            "records.words",
            "slots.records_left",
            "slots.looping",
            "slots.words_left",
        )
    )
    wanted = Mux(reading, wanted, 0)
    idle, finish = inside.state("phase", "IDLE"), inside.state("phase", "FINISH")
    record, number = inside.state("slots.phase", "RECORD"), inside.state("phase", "NUMBER")
    alone = inside.state("phase", "TOKEN", "NUMBER", "COMPARE", "CHECK")
    alone = alone | inside.state("phase", "NEXT_POSITION", "PREFILL", "LAYERS")
    alone = alone | inside.state("slots.phase", "HEADER")
    came = Mux(record, slot_words - words_left, 0)  # words of the record that is being taken
    m.d.comb += [
        Assert(under_way == inside.signal("records.under_way")),
        Assert(under_way <= 4 * slot_words),
        Assert(inside.signal("slots.takes_record") == (record & (words_left != 0))),
        Assert(~idle | ((under_way == 0) & (wanted == 0))),
        Assert(~alone | ~looping),
        Assert(idle | finish | looping | (left == 0)),
        Assert(~record | (words_left <= slot_words)),
        Assert(~number | ((under_way + wanted == 1) & (words == 1))),
        Assert(number | (wanted == 0) | (words == slot_words) | finish),
        Assert(
            idle | finish | number | (left * slot_words == wanted * slot_words + under_way + came)
        ),
        Assert(~(record & (left == 0)) | (words_left == slot_words)),
    ]


def banks(m: Module, p: HwParams) -> None:
    """Count the MATMULs in the drain's queue, and look at results on offer."""
    dut = MatrixPath(p)
    inside = Opened(m, dut)
    inputs = [value for _, member, value in dut.signature.flatten(dut) if member.flow is In]
    free(m, *inputs)
    queued = [
        (valid, drain_layout(p)(content).bank) for valid, content in inside.queued("drains.", 4)
    ]
    for bank in range(2):
        needs = sum(valid & (of == bank) for valid, of in queued)
        m.d.comb += Assert(dut.bank_busy[bank] == (needs != 0))
        m.d.comb += Assert(inside.signal(f"under_way{bank}") == needs)
    m.d.comb += Assert(~dut.o.valid | dut.draining)  # else a fence would not wait for them
    m.d.comb += Cover(dut.bank_busy == 0b11)
