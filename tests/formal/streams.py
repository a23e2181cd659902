"""Stream rules: what a block offers stays, unchanged, until it is taken, whatever the others do."""

from amaranth import Mux, Signal
from amaranth.hdl import Assert, Assume, Cover

from hw.beats import Beats
from hw.bursts import Bursts
from hw.channel_words import ChannelWords
from hw.drain import Drain
from hw.encoder import Encoder
from hw.fetch import Fetcher
from hw.requant import Requantizer
from hw.sequencer import Sequencer
from hw.stream import Queue
from hw.threshold import Threshold
from hw.train import SpikeTrain
from tests.formal.rules import free, handshake, keeps, sink, source

_WORDS = 4


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
    keeps(m, Assume, dut.array_idle & ~dut.o.valid, dut.array_idle, name="idle")
    sink(m, dut.o_tile, "o_tile")
    m.d.comb += Cover(handshake(dut.o_tile) & dut.o_tile.payload.half & ~dut.o_tile.payload.empty)


def channel_words(m, p):
    m.submodules.dut = dut = ChannelWords(p)
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.release, dut.half, dut.group, dut.enable)
    sink(m, dut.o_request, "o_request")
    keeps(m, Assert, ~dut.enable, dut.channels, name="channels")
    m.d.comb += Cover(handshake(dut.i))


def drain(m, p):
    m.submodules.dut = dut = Drain(p)
    source(m, dut.i_matmul, "i_matmul")
    source(m, dut.i_tile, "i_tile")
    free(m, dut.loaded, dut.scales, dut.scales_ready, dut.psums, dut.channels)
    # What was read stays until the next reading (array, channel words); thresholds stay while a
    # MATMUL needs them.
    keeps(m, Assume, ~dut.enable, dut.psums, dut.channels, name="read")
    keeps(m, Assume, dut.i_matmul.valid, dut.scales, name="scales")
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
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
    m.submodules.dut = dut = Encoder(p)
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.bank)
    sink(m, dut.o_request, "o_request")
    sink(m, dut.o_batch, "o_batch")
    m.d.comb += Cover(handshake(dut.o_request))
