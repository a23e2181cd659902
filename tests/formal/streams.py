"""Stream rules: what a block offers stays, unchanged, until it is taken, whatever the others do."""

from amaranth import Mux, Signal
from amaranth.hdl import Assert, Assume, Cover

from hw.beats import Beats
from hw.bursts import Bursts
from hw.channel_words import ChannelWords
from hw.controller import Controller
from hw.drain import Drain
from hw.encoder import Encoder
from hw.fetch import Fetcher
from hw.isa import INSTRUCTIONS, Opcode
from hw.memory_port import log2
from hw.requant import Requantizer
from hw.sequencer import Sequencer
from hw.stream import Queue
from hw.threshold import Threshold
from hw.train import SpikeTrain
from tests.formal.rules import Opened, free, handshake, keeps, sink, source


def queue(m, p):
    m.submodules.dut = dut = Queue(4, 4)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    keeps(m, Assert, dut.i.ready & ~dut.i.valid, dut.i.ready, name="i_ready")
    m.d.comb += Cover(dut.o.valid & ~dut.i.ready)


def bursts(m, p):
    m.submodules.dut = dut = Bursts(p, p.max_burst_words)
    source(m, dut.i, "i")
    free(m, dut.hurry)
    m.d.comb += Assume(dut.i.payload.words != 0)
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o) & (dut.o.payload.words == p.max_burst_words))


def fetcher(m, p):
    m.submodules.dut = dut = Fetcher(p)
    source(m, dut.i_matmul, "i_matmul")
    source(m, dut.i, "i")
    for taker in (dut.o, dut.o_rows):
        # Both takers (the bursts, a queue) stay ready until they are given something.
        keeps(m, Assume, taker.ready & ~taker.valid, taker.ready, name="ready")
    sink(m, dut.o, "o")
    sink(m, dut.o_rows, "o_rows")
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.o_rows))


def beats(m, p):
    m.submodules.dut = dut = Beats(p)
    source(m, dut.i_rows, "i_rows")
    source(m, dut.i, "i")
    m.d.comb += Assume(dut.i_rows.payload.words != 0)
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.i_rows))


def train(m, p):
    m.submodules.dut = dut = SpikeTrain(p)
    source(m, dut.i, "i")
    source(m, dut.i_coding, "i_coding")
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.i_coding))


def sequencer(m, p):
    m.submodules.dut = dut = Sequencer(p)
    source(m, dut.i, "i")
    source(m, dut.i_beats, "i_beats")
    source(m, dut.i_matmul, "i_matmul")
    free(m, dut.array_idle, dut.release)
    # The array stays idle until it is given something.
    keeps(m, Assume, dut.array_idle, dut.array_idle | dut.o.valid, name="idle")
    sink(m, dut.o_tile, "o_tile")
    m.d.comb += Cover(handshake(dut.o_tile) & dut.o_tile.payload.half & ~dut.o_tile.payload.empty)


def channel_words(m, p):
    dut = ChannelWords(p)
    inside = Opened(m, dut)
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.release, dut.half, dut.group, dut.enable)
    sink(m, dut.o_request, "o_request")
    keeps(m, Assert, ~dut.enable, dut.channels, name="channels")
    idle = inside.state("phase", "IDLE")
    m.d.comb += Assert(idle | dut.i.valid)
    m.d.comb += Cover(handshake(dut.i))


def drain(m, p):
    dut = Drain(p)
    inside = Opened(m, dut)
    source(m, dut.i_matmul, "i_matmul")
    source(m, dut.i_tile, "i_tile")
    free(m, dut.loaded, dut.scales, dut.scales_ready, dut.psums, dut.channels)
    # What was read stays until the next reading (array, channel words); thresholds stay while a
    # MATMUL needs them.
    keeps(m, Assume, ~dut.enable, dut.psums, dut.channels, name="read")
    keeps(m, Assume, dut.i_matmul.valid, dut.scales, name="scales")
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
    walking = ~inside.state("phase", "TILE")
    m.d.comb += Assert(~walking | (dut.i_matmul.valid & dut.i_tile.valid))
    m.d.comb += Assert(walking | ~dut.o.valid)
    m.d.comb += Cover(handshake(dut.i_matmul) & (dut.i_matmul.payload.tiling.tiles == 2))


def requantizer(m, p):
    m.submodules.dut = dut = Requantizer(p)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o))


def threshold(m, p):
    m.submodules.dut = dut = Threshold(p)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.i))


def encoder(m, p):
    dut = Encoder(p)
    inside = Opened(m, dut)
    site = dut.i.payload
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.bank)
    m.d.comb += [
        Assume((site.tokens != 0) & (site.tokens <= p.tokens)),
        Assume((site.channels != 0) & (site.channels <= p.max_channels)),
    ]

    # The memory delivers what was asked for: `groups` words a request, in order.
    asked, came = Signal(8), Signal(8)
    words_came = Signal(range(p.max_channels + 1))
    groups, tokens = Signal(range(p.max_channels + 1)), Signal(8)
    with m.If(handshake(dut.i)):
        m.d.sync += [asked.eq(0), came.eq(0), tokens.eq(site.tokens)]
        m.d.sync += groups.eq((site.channels + p.encode_lanes - 1) >> log2(p.encode_lanes))
    with m.If(handshake(dut.o_request)):
        m.d.sync += asked.eq(asked + 1)
    with m.If(handshake(dut.i_words)):
        m.d.sync += words_came.eq(words_came + 1)
        with m.If(words_came == groups - 1):
            m.d.sync += [came.eq(came + 1), words_came.eq(0)]
    m.d.comb += Assume(~dut.i_words.valid | (came < asked))

    sink(m, dut.o_request, "o_request")
    sink(m, dut.o_batch, "o_batch")
    m.d.comb += Assert(~handshake(dut.o_request) | (dut.o_request.payload.words == groups))
    token, group = inside.signal("token"), inside.signal("group")
    load, settle = inside.state("phase", "LOAD"), inside.state("phase", "SETTLE")
    between = inside.state("phase", "POTENTIAL", "THRESHOLD", "FIRE")
    m.d.comb += [
        Assert(asked == inside.signal("requested")),
        Assert((asked <= tokens) & (came <= asked)),
        Assert((words_came == 0) | (load & (came < asked) & (words_came < groups))),
        Assert(~load | ((came == token) & (token < tokens) & (words_came == group))),
        Assert(~between | ((came == token + 1) & (token < tokens))),
        Assert(~settle | ((came == token) & (token == tokens))),
        Assert(inside.signal("groups") == groups),
        Assert(inside.state("phase", "IDLE") | (groups != 0)),
        Assert((groups <= p.max_channels // p.encode_lanes) & (tokens <= p.tokens)),
        Assert(INSTRUCTIONS[Opcode.ENCODE](inside.signal("site")).tokens == tokens),
    ]
    m.d.comb += Cover(handshake(dut.o_batch))


def controller(m, p):
    dut = Controller(p, fingerprint=0)
    source(m, dut.i_words, "i_words")
    free(m, dut.start, dut.program, dut.bank_busy, dut.working, dut.read_failed, dut.write_failed)
    inside = Opened(m, dut)
    m.d.comb += Assume(~dut.start | ~dut.busy)
    # The memory delivers what was asked for.
    under_way = Signal(16)
    asked = Mux(handshake(dut.o_request), dut.o_request.payload.words, 0)
    m.d.sync += under_way.eq(under_way + asked - handshake(dut.i_words))
    m.d.comb += Assume(~dut.i_words.valid | (under_way != 0))
    idle, header = inside.state("phase", "IDLE"), inside.state("phase", "HEADER")
    finish = inside.state("phase", "FINISH")
    reading, known, first, words_left = (
        inside.signal(name) for name in ("reading", "known", "first_request", "words_left")
    )
    m.d.comb += [
        Assert(under_way == inside.signal("words_under_way")),
        Assert(~idle | ~(reading | (under_way != 0))),
        Assert(idle | finish | reading),
        Assert(idle | (known == ~header)),
        Assert(idle | ~first | (header & (under_way == 0) & (words_left != 0))),
    ]
    # What is done stays done until another instruction is handed over.
    quiet = ~handshake(dut.o_encode) & ~handshake(dut.o_matmul)
    for bank in range(2):
        keeps(m, Assume, quiet & ~dut.bank_busy[bank], dut.bank_busy[bank], name=f"bank{bank}")
    keeps(m, Assume, quiet & ~dut.working, dut.working, name="working")
    sink(m, dut.o_request, "o_request")
    sink(m, dut.o_encode, "o_encode")
    sink(m, dut.o_matmul, "o_matmul")
    m.d.comb += Cover(handshake(dut.o_encode))
