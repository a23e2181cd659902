"""The guard: whatever is ended, and when, the bus stays legal, and the end comes."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover

from hw.contract.params import HwParams
from hw.memory.guard import Guard
from tests.formal.progress import PATIENCE, fair
from tests.formal.rules import Opened, bits, free, handshake, keeps, sink

__all__ = ["CLOSING_CYCLES", "ends", "legal"]

CLOSING_CYCLES = 2 * PATIENCE + 8
"""Besides those of owed words, until it has ended, without the wait for responses."""

_OFFERS = ("read", "write", "write_data")
_COUNT_WIDTH = 28


class _Bench:
    """A guard between an accelerator that keeps its rules until it is reset, and any memory."""

    def __init__(self, m: Module, p: HwParams) -> None:
        self.dut = dut = Guard(p)
        self.inside = Opened(m, dut)
        free(m, dut.abort, dut.expired, dut.running, dut.o_read_data.ready)
        self.read, self.write, self.word = (getattr(dut, f"o_{name}") for name in _OFFERS)
        was_reset = Signal()
        m.d.sync += was_reset.eq(dut.reset)
        m.d.comb += Assert(~self.state("OWED", "ENDED") | was_reset)
        for name in _OFFERS:
            given = getattr(dut, f"i_{name}")
            free(m, given.valid, given.payload)
            waits = given.valid & ~given.ready & ~dut.reset
            keeps(m, Assume, waits, given.valid, given.payload, name=f"i_{name}")
            # All registers of the accelerator begin at zero.
            m.d.comb += Assume(~was_reset | ~(given.valid | bits(given.payload).any()))
            sink(m, getattr(dut, f"o_{name}"), f"o_{name}")

        # The accelerator's write port: an address, then its words (proof "write port").
        unsent = Signal(range(p.max_burst_words + 1))
        taken, word = dut.i_write, dut.i_write_data
        with m.If(dut.reset):
            m.d.sync += unsent.eq(0)
        with m.Elif(handshake(taken)):
            m.d.sync += unsent.eq(taken.payload.words)
        with m.Elif(handshake(word)):
            m.d.sync += unsent.eq(unsent - 1)
        words = taken.payload.words
        m.d.comb += [
            Assume(~taken.valid | ((unsent == 0) & (words != 0) & (words <= p.max_burst_words))),
            Assume(~word.valid | ((unsent != 0) & (word.payload.last == (unsent == 1)))),
        ]

        # The bus: words of addresses on offer or taken that are owed, and requests of this epoch
        # without their answer.
        self.left = Signal(range(p.max_burst_words + 1))  # of addresses offered before
        self.owed = Signal(range(p.max_burst_words + 1))
        waited = Signal()
        m.d.sync += [
            waited.eq(self.write.valid & ~self.write.ready),
            self.left.eq(self.owed - handshake(self.word)),
        ]
        self.fresh = self.write.valid & ~waited
        m.d.comb += self.owed.eq(Mux(self.fresh, self.write.payload.words, self.left))
        data, response = dut.i_read_data, dut.i_response
        free(m, data.valid, data.payload, response.valid, response.payload)
        self.reads, self.writes = Signal(_COUNT_WIDTH), Signal(_COUNT_WIDTH)
        read_ends = handshake(data) & data.payload.last & (data.payload.epoch == dut.epoch)
        write_ends = response.valid & (response.payload.epoch == dut.epoch)
        m.d.sync += [
            self.reads.eq(self.reads + handshake(self.read) - read_ends),
            self.writes.eq(self.writes + handshake(self.write) - write_ends),
        ]
        given_up = Signal()  # responses need not be awaited: the watchdog, or a second abort
        with m.If(self.state("OPEN")):
            m.d.sync += given_up.eq(dut.expired)
        with m.Elif(self.state("ENDED")):
            m.d.sync += given_up.eq(0)
        with m.Elif(dut.abort | dut.expired):
            m.d.sync += given_up.eq(1)
        m.d.comb += Assert(self.state("OPEN") | (given_up == self.inside.signal("give_up")))
        gives_up, gave_up = Signal(), Signal()
        epoch_before = Signal.like(dut.epoch)
        m.d.sync += [gave_up.eq(gives_up), epoch_before.eq(dut.epoch)]
        m.d.comb += Assert(dut.epoch == (epoch_before + gave_up)[: len(dut.epoch)])
        m.d.comb += gives_up.eq(
            self.state("OWED")
            & (self.owed == 0)
            & ~self.write.valid
            & given_up
            & ((self.inside.signal("reads") != 0) | (self.inside.signal("writes") != 0))
        )
        with m.If(gives_up):  # what is under way is of another epoch from now on
            m.d.sync += [self.reads.eq(0), self.writes.eq(0)]
        capacity = (1 << len(self.inside.signal("reads"))) - 2  # the read port's credits
        m.d.comb += [
            Assume(~(data.valid & (data.payload.epoch == dut.epoch)) | (self.reads != 0)),
            Assume(~write_ends | (self.writes > ((self.owed != 0) & ~self.write.valid))),
            Assume(~dut.i_read.valid | (self.reads < capacity)),
        ]
        self._connect(m, p, unsent, capacity)

    def state(self, *names: str):
        return self.inside.state("phase", *names)

    def _connect(self, m: Module, p: HwParams, unsent, capacity: int) -> None:
        """Assert how the guard's registers follow from the accounts."""
        dut, inside = self.dut, self.inside
        reads, writes, owed, asked, answered, full, supply, supply_last = (
            inside.signal(name)
            for name in (
                "reads",
                "writes",
                "owed",
                "asked",
                "answered",
                "full",
                "supply",
                "supply_last",
            )
        )
        shut = Cat(*(inside.signal(f"shut_{name}") for name in ("read", "data")))
        waiting = dut.o_write.valid
        still_open = self.state("OPEN", "OFFERED")
        written_off = self.state("ENDED")
        late = self.state("RESET", "OWED", "ENDED")
        m.d.comb += [
            Assert(still_open | late),
            Assert(owed == self.owed),
            Assert(owed <= p.max_burst_words),
            Assert(~waiting | (dut.o_write.payload.words != 0)),
            Assert(~still_open | (unsent == owed)),
            Assert(dut.closed == ~self.state("OPEN")),
            Assert(dut.reset == late),
            Assert(~late | shut.all()),
            Assert(self.state("OPEN") == (~dut.closed & (shut == 0))),
            Assert(~supply | self.state("OWED")),
            Assert(~self.state("OWED") | (supply == (owed != 0))),
            Assert(~self.state("OWED") | (supply_last == (owed == 1))),
            Assert(~written_off | ((owed == 0) & ~waiting)),
            Assert(written_off | (reads + asked == self.reads + answered)),
            Assert(self.reads <= capacity),
            Assert(~asked | still_open | self.state("RESET")),
            Assert(written_off | (writes == self.writes + waiting)),
            Assert(written_off | (full == (writes == 64))),
            Assert(writes <= 64),
            Assert(~written_off | ((self.reads == 0) & (self.writes == 0))),
            Assert(written_off | (self.writes >= ((self.owed != 0) & ~waiting))),
        ]


def legal(m: Module, p: HwParams) -> None:
    """Assert AXI's rules, and that what has been shut stays so."""
    bench = _Bench(m, p)
    dut, word = bench.dut, bench.word
    m.d.comb += [
        Assert(~bench.fresh | (bench.left == 0)),
        Assert(~word.valid | (bench.owed != 0)),
        Assert(~word.valid | (word.payload.last == (bench.owed == 1))),
    ]
    # The last write address is taken from the accelerator before the end begins.
    offered = Signal()
    m.d.sync += offered.eq(handshake(dut.i_write))
    m.d.comb += Assert(~dut.closed | ~handshake(dut.i_write))
    m.d.comb += Assert(~bench.fresh | offered)
    asked = Signal()
    m.d.sync += asked.eq(bench.read.valid & ~bench.read.ready)
    m.d.comb += Assert(~dut.closed | ~bench.read.valid | asked)
    data, given = dut.i_read_data, dut.o_read_data
    late = dut.closed | (data.payload.epoch != dut.epoch)
    m.d.comb += [
        Assert(~late | (data.ready & ~given.valid)),
        Assert(late | ((given.valid == data.valid) & (given.ready == data.ready))),
        Assert(~dut.o_response.valid | (dut.i_response.valid & ~dut.closed)),
        # Who is started next finds nothing under way that could be taken for its own.
        Assert(~bench.state("ENDED") | ((bench.reads == 0) & (bench.writes == 0))),
        Cover(dut.ended & (dut.epoch == 1)),
        Cover(dut.ended & (dut.epoch == 0)),
        Cover(word.valid & dut.reset & (bench.owed == 2) & word.ready),
        Cover(handshake(bench.write) & (bench.owed == 0)),  # after its words
        Cover(handshake(bench.write) & dut.reset & (bench.owed == 1)),
    ]


def ends(m: Module, p: HwParams) -> None:
    """Follow the age of an end while it does not wait for responses; memory is fair."""
    bench = _Bench(m, p)
    dut, inside = bench.dut, bench.inside
    offers = {"read": bench.read, "write": bench.write, "data": bench.word}
    # An address may be kept waiting until a word of it is on offer.
    seen = {"write": bench.word.valid | (bench.owed == 0)}
    waits = {n: fair(m, o.valid & ~o.ready & seen.get(n, 1), n) for n, o in offers.items()}
    all_sent = (bench.owed == 0) & ~bench.write.valid
    awaits = bench.state("OWED") & all_sent & ~inside.signal("give_up")
    awaits = awaits & ((inside.signal("reads") != 0) | (inside.signal("writes") != 0))
    bound_width = (p.max_burst_words * (PATIENCE + 1) + CLOSING_CYCLES).bit_length() + 1
    age, owed_cycles = Signal(bound_width), Signal(bound_width)
    # A wait for responses is not counted; what was owed before it has been sent.
    m.d.sync += age.eq(Mux(bench.state("OPEN", "ENDED"), 0, age + ~awaits))
    m.d.comb += owed_cycles.eq(bench.owed * (PATIENCE + 1))
    longest = p.max_burst_words * (PATIENCE + 1)
    for name, waited in waits.items():
        m.d.comb += Assert((waited == 0) | offers[name].valid)
        if name != "write":
            with m.If(bench.state("OFFERED") & ~inside.signal(f"shut_{name}")):
                m.d.comb += Assert(age <= waited)
    offered = bench.state("OFFERED")
    m.d.comb += [
        Assert(~bench.state("OPEN") | (age == 0)),
        Assert(~offered | (age <= PATIENCE + 1)),
        Assert(~bench.state("RESET") | (age <= PATIENCE + 2)),
        Assert(
            ~bench.state("OWED") | (age + owed_cycles <= PATIENCE + 3 + longest + waits["data"])
        ),
        Assert(
            ~(bench.state("OWED") & bench.write.valid)
            | (age <= PATIENCE + 3 + waits["write"])  # it waits beside the words
        ),
        Assert(~bench.state("ENDED") | (age <= PATIENCE + 4 + longest)),
        Assert(age < longest + CLOSING_CYCLES),
        Cover(dut.ended & (age > 8)),
        Cover(bench.state("OWED") & bench.write.valid & (bench.owed == 2)),
    ]
