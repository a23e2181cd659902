"""The memory port: AXI's rules, credits, and that exactly the words asked for move."""

from collections.abc import Callable

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.utils import exact_log2

from hw.contract.params import HwParams
from hw.memory.bursts import Bursts
from hw.memory.port import READ_CLIENTS, burst_layout, queue_depths
from hw.memory.read import ReadPort
from hw.memory.write import WritePort
from tests.formal.rules import Opened, free, handshake, sink, source, valid_stays

_COUNT_WIDTH = 28  # of ghost counters: beyond all that can be under way
_LONGEST = (1 << 24) - 1  # segment, in words


def axi_burst(m: Module, p: HwParams, valid, burst, max_words: int) -> None:
    """Assert that a burst is one to `max_words` words long and stays in its 4 KiB."""
    page_words = 4096 // p.axi_bytes
    offset = burst.address[: exact_log2(page_words)]
    m.d.comb += Assert(~valid | ((burst.words != 0) & (burst.words <= max_words)))
    m.d.comb += Assert(~valid | (offset + burst.words <= page_words))


def cut_and_merged(m: Module, p: HwParams) -> None:
    """Follow one word, any one of any segment, to the burst that asks for it."""
    dut = Bursts(p, p.max_burst_words)
    inside = Opened(m, dut)
    source(m, dut.i, "i")
    free(m, dut.hurry)
    m.d.comb += Assume(dut.i.payload.words != 0)
    sink(m, dut.o, "o")
    axi_burst(m, p, dut.o.valid, dut.o.payload, p.max_burst_words)
    waits, second = _second(m, p, inside, "leaving", dut.o.valid, p.max_burst_words)

    follow, followed = Signal(), Signal()
    offset, ahead = Signal.like(dut.i.payload.words), Signal(_COUNT_WIDTH)
    address = Signal.like(dut.o.payload.address)
    waiting, leaves = Signal(_COUNT_WIDTH), Signal()
    free(m, follow, offset)
    offered = Mux(dut.o.valid, dut.o.payload.words, 0)
    complete = offered + Mux(waits, second.words, 0)
    run_words, run_address = inside.signal("run_words"), inside.signal("run_address")
    m.d.comb += [
        waiting.eq(run_words + complete),
        leaves.eq(followed & handshake(dut.o) & (ahead < offered)),
        Assume(offset < dut.i.payload.words),
    ]
    with m.If(followed & handshake(dut.o)):
        m.d.sync += ahead.eq(ahead - offered)
    with m.If(leaves):
        m.d.sync += followed.eq(0)
    with m.If(handshake(dut.i) & ~followed & follow):
        m.d.sync += [
            followed.eq(1),
            ahead.eq(waiting - Mux(handshake(dut.o), offered, 0) + offset),
            address.eq(dut.i.payload.address + offset),
        ]
    place = (run_address + ahead - complete)[: len(address)]
    with m.If(followed):
        m.d.comb += Assert(ahead < waiting)  # it is never dropped
        with m.If(ahead < offered):
            m.d.comb += Assert((dut.o.payload.address + ahead)[: len(address)] == address)
        with m.Elif(ahead < complete):
            place_in_second = (second.address + ahead - offered)[: len(address)]
            m.d.comb += Assert(place_in_second == address)
        with m.Else():
            m.d.comb += Assert(place == address)
    run_end = (run_address + run_words)[: len(address)]
    m.d.comb += [
        Assert((run_words == 0) | (run_end == inside.signal("run_end"))),
        Assert(run_words <= p.max_burst_words + _LONGEST),
        Cover(leaves & (ahead == p.max_burst_words - 1)),
    ]
    _longest(m, p, run_words, run_address, inside.signal("longest", ("sync",)), p.max_burst_words)


def _second(m: Module, p: HwParams, inside: Opened, name: str, valid, longest: int):
    """Return whether a burst waits behind the one on offer, and it; assert what is known of it."""
    waits, second = inside.signal(f"{name}.waits"), inside.signal(f"{name}.second")
    second = burst_layout(p)(second)
    axi_burst(m, p, waits, second, longest)
    m.d.comb += Assert(~waits | valid)
    return waits, second


def _longest(m: Module, p: HwParams, run_words, run_address, longest, max_words: int) -> None:
    """Assert that a run knows how long a burst from its beginning may be."""
    page_words = 4096 // p.axi_bytes
    to_page_end = page_words - run_address[: exact_log2(page_words)]
    most = Mux(to_page_end < max_words, to_page_end, max_words)
    m.d.comb += Assert((run_words == 0) | (longest == most))


def read_port(m: Module, p: HwParams) -> None:
    """Give the memory any order among clients; it answers nothing that was not asked for."""
    dut = ReadPort(p)
    inside = Opened(m, dut)
    sink(m, dut.o_address, "o_address")
    axi_burst(m, p, dut.o_address.valid, dut.o_address.payload.burst, p.max_burst_words)
    free(m, dut.i_data.valid, dut.i_data.payload)
    for name in READ_CLIENTS:
        source(m, getattr(dut, f"i_{name}"), f"i_{name}")
        free(m, getattr(dut, f"o_{name}").ready)
        m.d.comb += Assume(getattr(dut, f"i_{name}").payload.words != 0)
        _waiting(m, p, inside, name, min(p.max_burst_words, queue_depths(p)[name]))
    for client in range(len(READ_CLIENTS)):
        address = dut.o_address
        m.d.comb += Cover(handshake(address) & (address.payload.client == client))


class Client:
    """A read port and the accounts of one client's words: asked for, requested, under way, held.

    Parameters
    ----------
    m, p
        Where it is put, and the accelerator.
    index : int
        The client.
    """

    def __init__(self, m: Module, p: HwParams, index: int) -> None:
        name = READ_CLIENTS[index]
        self.dut = dut = ReadPort(p)
        self.inside = inside = Opened(m, dut)
        address, answer = dut.o_address, dut.i_data
        free(m, address.ready)
        source(m, answer, "i_data")
        for other in READ_CLIENTS:
            source(m, getattr(dut, f"i_{other}"), f"i_{other}")
            free(m, getattr(dut, f"o_{other}").ready)
        self.i, self.o = getattr(dut, f"i_{name}"), getattr(dut, f"o_{name}")
        m.d.comb += Assume(self.i.payload.words != 0)

        self.owed, self.under_way = Signal(_COUNT_WIDTH), Signal(_COUNT_WIDTH)
        wanted = Mux(handshake(self.i), self.i.payload.words, 0)
        here = address.payload.client == index
        words = address.payload.burst.words
        self.comes = answer.valid & (answer.payload.client == index)
        m.d.sync += [
            self.owed.eq(self.owed + wanted - handshake(self.o)),
            self.under_way.eq(
                self.under_way + Mux(handshake(address) & here, words, 0) - self.comes
            ),
        ]
        m.d.comb += Assume(~self.comes | (self.under_way != 0))

        self.run_words = inside.signal(f"{name}_bursts.run_words")
        self.offers = inside.signal(f"{name}_bursts.o__valid")
        self.at_port = Mux(address.valid & here, words, 0)
        self.level = inside.signal(f"{name}_queue.fifo.level")
        inner_level = inside.signal(f"{name}_queue.fifo.inner_level")
        depth = queue_depths(p)[name]
        free_words = inside.signal(f"{name}_free")
        self.longest = min(p.max_burst_words, depth)  # burst
        held = self.at_port + self.under_way + self.level
        m.d.comb += [
            Assert(self.owed == _waiting(m, p, inside, name, self.longest) + held),
            Assert(free_words + held == depth),
            Assert(~(address.valid & here) | (words != 0)),
            Assert(free_words <= depth),
            Assert((inner_level < 2) | self.o.valid),  # the queue's last place can be reached
        ]


def read_client(index: int) -> Callable[[Module, HwParams], None]:
    """Return the proof of a client's rules: it gets the words that it asked for, and no other."""

    def build(m: Module, p: HwParams) -> None:
        client = Client(m, p, index)
        valid_stays(m, Assert, client.o, "o")
        m.d.comb += Assert(~client.comes | client.dut.i_data.ready)
        m.d.comb += Cover(handshake(client.o) & (client.owed > p.max_burst_words))

    return build


def _waiting(m: Module, p: HwParams, inside: Opened, name: str, longest: int) -> Value:
    """Return the words of a client that its `Bursts` hold, and assert what is known of those."""
    burst = burst_layout(p)(inside.signal(f"{name}_bursts.o__payload"))
    run_words = inside.signal(f"{name}_bursts.run_words")
    valid = inside.signal(f"{name}_bursts.o__valid")
    axi_burst(m, p, valid, burst, longest)
    waits, second = _second(m, p, inside, f"{name}_bursts.leaving", valid, longest)
    m.d.comb += Assert(run_words <= p.max_burst_words + _LONGEST)
    run_address = inside.signal(f"{name}_bursts.run_address")
    most = inside.signal(f"{name}_bursts.longest", ("sync",))
    _longest(m, p, run_words, run_address, most, longest)
    return run_words + Mux(valid, burst.words, 0) + Mux(waits, second.words, 0)


def write_port(m: Module, p: HwParams) -> None:
    """Follow each row: its bursts, their beats, the bytes that count, the acknowledgements."""
    dut = WritePort(p)
    inside = Opened(m, dut)
    row, address, word = dut.i_row, dut.o_address, dut.o_data
    source(m, row, "i_row")
    source(m, dut.i, "i")
    sink(m, address, "o_address")
    sink(m, word, "o_data")
    free(m, dut.i_response.valid, dut.i_response.payload)
    axi_burst(m, p, address.valid, address.payload, p.max_burst_words)
    m.d.comb += Assume(row.payload.bytes != 0)

    next_address = Signal.like(row.payload.address)
    # Bytes of the row from its next word on; those before its first one are in it, but skipped.
    left, skipped = Signal(27), Signal(range(p.axi_bytes))
    beats_left, unanswered = Signal.like(address.payload.words), Signal(16)
    taken = Mux(left < p.axi_bytes, left, p.axi_bytes)
    with m.If(handshake(row)):
        m.d.sync += [
            next_address.eq(row.payload.address),
            left.eq(row.payload.first + row.payload.bytes),
            skipped.eq(row.payload.first),
        ]
    with m.If(handshake(address)):
        words = address.payload.words
        m.d.sync += [next_address.eq(next_address + words), beats_left.eq(words)]
        m.d.comb += [
            Assert(beats_left == 0),
            Assert(address.payload.address == next_address),
            Assert((words - 1) << exact_log2(p.axi_bytes) < left),  # no word beyond the row's last
        ]
    with m.If(handshake(word)):
        m.d.sync += [left.eq(left - taken), skipped.eq(0), beats_left.eq(beats_left - 1)]
        strobe = Cat((byte >= skipped) & (byte < left) for byte in range(p.axi_bytes))
        m.d.comb += [
            Assert(beats_left != 0),
            Assert(word.payload.strobe == strobe),
            Assert(word.payload.last == (beats_left == 1)),
        ]
    with m.If(handshake(row)):
        m.d.comb += Assert((left == 0) & (beats_left == 0))  # the row before is complete

    # The memory acknowledges a burst after its last beat; it holds back fewer than 2^16.
    ends = handshake(word) & word.payload.last
    m.d.sync += unanswered.eq(unanswered + ends - dut.i_response.valid)
    m.d.comb += [
        Assume(~dut.i_response.valid | (unanswered != 0)),
        Assume(unanswered < 0xFFF0),
        Assert(dut.busy | ((unanswered == 0) & (left == 0))),
    ]
    _write_invariants(m, p, dut, inside, left, skipped, beats_left, unanswered, next_address)
    m.d.comb += Cover(handshake(row) & (left == 0) & (next_address[:4] == 5))


def _write_invariants(
    m, p, dut, inside, left, skipped, beats_left, unanswered, next_address
) -> None:
    """Assert how the block's registers follow from the accounts."""
    out = dut.o_data
    row, address, data = (inside.state("phase", name) for name in ("ROW", "ADDRESS", "DATA"))
    end, first, words = (inside.signal(name) for name in ("end", "first", "words"))
    to_come = words + Mux(data, inside.signal("burst_words"), 0)
    m.d.comb += [
        Assert(row | address | data),
        Assert(~row | ((left == 0) & (beats_left == 0) & ~out.valid)),
        Assert(~address | ((words != 0) & (beats_left == 0) & ~out.valid)),
        Assert(row | (words == 0) | (inside.signal("address") == next_address)),
        Assert(~data | (beats_left == inside.signal("burst_words") + out.valid)),
        Assert(~data | (beats_left != 0)),
        Assert(~data | ~out.valid | (out.payload.last == (beats_left == 1))),
        Assert(inside.signal("pending") == unanswered + (beats_left != 0)),
        Assert(inside.signal("awaits") == (inside.signal("pending") != 0)),
    ]
    with m.If(~row & (to_come != 0)):
        m.d.comb += [
            Assert(left == end + Mux(out.valid, p.axi_bytes, 0)),
            Assert((end + p.axi_bytes - 1) >> exact_log2(p.axi_bytes) == to_come),
        ]
    with m.If(~row & (to_come == 0)):
        m.d.comb += Assert((left != 0) & (left <= p.axi_bytes) & out.valid)
    strobe = Cat((byte >= skipped) & (byte < left) for byte in range(p.axi_bytes))
    m.d.comb += [
        Assert(~out.valid | (out.payload.strobe == strobe)),
        Assert(row | (first == Mux(out.valid, 0, skipped))),
        Assert(row | (skipped < left)),
    ]
