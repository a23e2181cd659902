"""Who writes memory: rows are followed by their words, and what is offered stays."""

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.utils import exact_log2

from hw.contract.isa import INSTRUCTIONS, Opcode, VectorOp
from hw.contract.params import HwParams
from hw.memory.rows import WRITE_CLIENTS, RowMux
from hw.spike.kv_cache import CacheWriter
from hw.vector.unit import VectorUnit
from tests.formal.rules import Opened, bits, free, handshake, sink, source


def touched(p: HwParams, row):
    """Return how many words of memory a row touches."""
    return (row.first + row.bytes + p.axi_bytes - 1) >> exact_log2(p.axi_bytes)


def rows(m: Module, p: HwParams) -> None:
    """Any client may offer a row or a word at any time."""
    dut = RowMux(p)
    inside = Opened(m, dut)
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
    owner, left = Signal(range(len(WRITE_CLIENTS))), Signal(27)
    row_taken, word_taken = handshake(dut.o_row), handshake(dut.o)
    rows_taken = words_taken = 0
    waiting = Signal(4)  # what the multiplexer has put on offer waits at its client
    for index, name in enumerate(WRITE_CLIENTS):
        row, word = getattr(dut, f"i_row_{name}"), getattr(dut, f"i_{name}")
        source(m, row, f"i_row_{name}")
        source(m, word, f"i_{name}")
        m.d.comb += Assume(row.payload.bytes != 0)
        rows_taken += handshake(row)
        words_taken += handshake(word)
        with m.If(handshake(row)):
            m.d.sync += owner.eq(index)
            m.d.comb += Assert(bits(row.payload) == bits(dut.o_row.payload))
        with m.If(handshake(word)):
            m.d.comb += [Assert(owner == index), Assert(word.payload == dut.o.payload)]
        with m.If(inside.signal("kept") == index):
            m.d.comb += waiting.eq(row.valid)
        m.d.comb += Cover(handshake(word) & (left == 2))
    with m.If(row_taken):
        m.d.sync += left.eq(touched(p, dut.o_row.payload))
        m.d.comb += Assert(left == 0)
    with m.If(word_taken):
        m.d.sync += left.eq(left - 1)
        m.d.comb += Assert(left != 0)
    m.d.comb += [
        Assert(rows_taken == row_taken),
        Assert(words_taken == word_taken),
        Assert(dut.busy == (left != 0)),
        Assert(inside.signal("left") == left),
        Assert((left == 0) | (inside.signal("owner") == owner)),
        Assert(~inside.signal("waits") | ((waiting != 0) & (left == 0))),
    ]


def cache(m: Module, p: HwParams) -> None:
    """After a head its counts come, as many as it has, and one threshold."""
    dut = CacheWriter(p)
    inside = Opened(m, dut)
    store = dut.i.payload
    source(m, dut.i, "i")
    source(m, dut.i_head, "i_head")
    free(m, dut.position, *(bits(s) for s in (dut.i_counts.payload, dut.i_scale.payload)))
    free(m, dut.i_counts.valid, dut.i_scale.valid)
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
    groups_log2 = exact_log2(p.encode_lanes)
    m.d.comb += [
        Assume((store.heads != 0) & (store.channels != 0) & (store.channels <= p.tile_outputs)),
        Assume(~(store.scales[:2] | store.scales_stride[:2]).any()),
    ]
    groups, counts_left, scale_left = Signal(16), Signal(16), Signal()
    with m.If(handshake(dut.i)):
        m.d.sync += groups.eq((store.channels + p.encode_lanes - 1) >> groups_log2)
    with m.If(handshake(dut.i_head)):
        m.d.sync += [counts_left.eq(groups), scale_left.eq(1)]
    with m.Else():
        m.d.sync += [
            counts_left.eq(counts_left - dut.i_counts.valid),
            scale_left.eq(scale_left & ~dut.i_scale.valid),
        ]
    m.d.comb += [
        Assume(~dut.i_counts.valid | (counts_left != 0)),
        Assume(~dut.i_scale.valid | scale_left),
    ]

    left = Signal(27)  # words of the row
    row = dut.o_row.payload
    with m.If(handshake(dut.o_row)):
        m.d.sync += left.eq(touched(p, row))
        m.d.comb += Assert(left == 0)
    with m.If(handshake(dut.o)):
        m.d.sync += left.eq(left - 1)
        m.d.comb += Assert(left != 0)

    job = INSTRUCTIONS[Opcode.STORE](inside.signal("job"))
    index = inside.signal("index")
    idle, collect = inside.state("phase", "IDLE"), inside.state("phase", "COLLECT")
    scale_word, word = inside.state("phase", "SCALE_WORD"), inside.state("phase", "WORD")
    between, offers = inside.state("phase", "READ"), inside.state("phase", "ROW")
    keys = job.cache.as_value() == 0
    word_of_index = index >> exact_log2(p.axi_bytes)
    words_of_values = (job.channels - index + p.axi_bytes - 1) >> exact_log2(p.axi_bytes)
    m.d.comb += [
        Assert(
            inside.state("phase", "IDLE", "PLACE", "BASE", "HEAD", "COLLECT", "SCALE")
            | scale_word
            | word
            | between
            | offers
        ),
        Assert(idle | ((job.channels != 0) & (job.channels <= p.tile_outputs))),
        Assert(idle | (inside.signal("groups") == groups)),
        Assert(
            idle | ~(inside.signal("scale_address")[:2].any() & ~inside.state("phase", "PLACE"))
        ),
        Assert(idle | ~(job.scales[:2] | job.scales_stride[:2]).any()),
        Assert(collect | ((counts_left == 0) & ~scale_left)),
        Assert(~collect | (inside.signal("came") + counts_left == groups)),
        Assert(~collect | (inside.signal("scaled") == ~scale_left)),
        Assert(~(collect | inside.state("phase", "SCALE") | scale_word) | (index == 0)),
        Assert(scale_word | word | between | (left == 0)),
        Assert(~scale_word | (left == 1)),
        Assert(~(word | between | offers) | (index < job.channels)),
        Assert(~(word & keys) | (left == 1)),
        Assert(~(between & keys)),
        Assert(keys | ~(word | between) | (left == words_of_values)),
        Assert(keys | ~(word | between) | ~index[: exact_log2(p.axi_bytes)].any()),
        Assert(keys | ~offers | (index == 0)),
        Assert(~word | (bits(inside.read_data("codes")) == inside.memory("codes", word_of_index))),
        Cover(handshake(dut.o) & keys & (index == 1)),
        Cover(handshake(dut.o) & ~keys & (left == 1) & (index != 0)),
    ]


def _vector(m: Module, p: HwParams) -> tuple[VectorUnit, Opened]:
    dut = VectorUnit(p)
    for name in ("i", "i_a", "i_b"):
        source(m, getattr(dut, name), name)
    m.d.comb += Assume((dut.i.payload.rows != 0) & (dut.i.payload.elements != 0))
    return dut, Opened(m, dut)


def vector(m: Module, p: HwParams) -> None:
    dut, inside = _vector(m, p)
    free(m, dut.o_a.ready, dut.o_b.ready)
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
    idle, numbers = inside.state("phase", "IDLE"), inside.state("phase", "INDEX", "NUMBER")
    operation = INSTRUCTIONS[Opcode.VECTOR](inside.signal("job")).operation
    finds = operation == VectorOp.ARGMAX
    for pipeline in ("adder", "norm", "rotator", "swiglu", "softmax"):
        m.d.comb += Assert(~((idle | finds) & inside.signal(f"{pipeline}.busy")))
    m.d.comb += Assert(~numbers | (finds & ~inside.signal("argmax.gathers")))
    m.d.comb += Cover(dut.o.valid & ~dut.o.ready)


def operands(m: Module, p: HwParams) -> None:
    """Let the memory deliver what was asked for: `words` words a segment."""
    dut, inside = _vector(m, p)
    free(m, dut.o_row.ready, dut.o.ready)
    sink(m, dut.o_a, "o_a")
    sink(m, dut.o_b, "o_b")

    words, passes, binary = map(inside.signal, ("words", "passes_of_row", "binary"))
    row, current, active = map(inside.signal, ("row", "current_pass", "active"))
    group = inside.signal("group", ("sync",))
    asked_row, asked_pass = map(inside.signal, ("asked_row", "asked_pass"))
    asked_a, asked_b = map(inside.signal, ("asked_a", "asked_b"))
    job = INSTRUCTIONS[Opcode.VECTOR](inside.signal("job"))
    rows, finds = job.rows, job.operation == VectorOp.ARGMAX
    idle, row_begins = inside.state("phase", "IDLE"), inside.state("phase", "ROW")
    found = inside.state("phase", "INDEX", "NUMBER")
    passing, flush = inside.state("phase", "PASS"), inside.state("phase", "FLUSH")

    # Segments of the instruction that have been asked for, and that have been taken.
    taken_passes = Mux(row_begins, 0, current + flush)
    of_b = binary & (asked_pass == passes - 1)

    def segments(count):
        return Mux(passes == 1, count, Mux(passes == 2, count << 1, count + (count << 1)))

    asked = {
        "a": segments(Mux(active, asked_row, rows)) + Mux(active, asked_pass + asked_a, 0),
        "b": Mux(binary, Mux(active, asked_row + (asked_b & of_b), rows), 0),
    }
    taken = {
        "a": segments(row) + taken_passes,
        "b": Mux(binary, row + (taken_passes == passes), 0),
    }
    for name, words_come in (("a", passing), ("b", passing & binary & (current == passes - 1))):
        request, word = getattr(dut, f"o_{name}"), getattr(dut, f"i_{name}")
        under_way = Signal(9, name=f"under_way_{name}")  # segments
        came = Signal.like(words, name=f"came_{name}")  # words of the first one
        ends = handshake(word) & (came == words - 1)
        m.d.sync += under_way.eq(under_way + handshake(request) - ends)
        with m.If(handshake(word)):
            m.d.sync += came.eq(Mux(ends, 0, came + 1))
        m.d.comb += [
            Assume(~word.valid | (under_way != 0)),
            Assert(~request.valid | (request.payload.words == words)),
            Assert(came == Mux(words_come, group, 0)),
            Assert(Mux(idle, under_way == 0, under_way + taken[name] == asked[name])),
        ]
    m.d.comb += [
        Assert(idle | (row < rows)),
        Assert(~(flush & (current == passes - 1) & ~finds) | (row == rows - 1)),
        Assert(idle | row_begins | Mux(found, current == passes, current < passes)),
        Assert(idle | flush | row_begins | (group < words)),
        Assert(passing | flush | row_begins | (group == 0)),
        Assert(idle | (words != 0)),
        Assert(~active | ((asked_row < rows) & (asked_pass < passes) & ~idle)),
        Assert(active | ~(asked_a | asked_b)),
        Assert(~(asked_a & (asked_b | ~of_b))),
    ]
    m.d.comb += [Cover(handshake(dut.i_a) & ~of_b & (row == 0)), Cover(handshake(dut.i_b))]
