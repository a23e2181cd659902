"""Stream rules: what a block offers stays, unchanged, until it is taken, whatever the others do."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover

from hw.common.stream import Queue
from hw.contract.params import GROUPS, HwParams
from hw.matmul.beats import Beats
from hw.matmul.channel_words import ChannelWords
from hw.matmul.drain import Drain
from hw.matmul.fetch import Fetcher
from hw.matmul.requant import Requantizer
from hw.matmul.scaler import Scaler
from hw.matmul.sequencer import Sequencer
from hw.memory.bursts import Bursts
from hw.spike.events import event_layout
from hw.spike.marks import GroupMarks
from hw.spike.threshold import Threshold
from hw.spike.train import SpikeTrain
from tests.formal.rules import Opened, free, handshake, keeps, ready_stays, sink, source

_SCALER_CYCLES, _SCALER_READS = 7, 4  # moves until it writes, and until it reads


def queue(m: Module, p: HwParams) -> None:
    """Follow one payload, any one, through the queue."""
    depth = 8
    dut = Queue(4, depth)
    inside = Opened(m, dut)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    ready_stays(m, Assert, dut.i, "i_ready")
    follow, followed = Signal(), Signal()
    content, ahead = Signal(4), Signal(range(depth + 1))
    free(m, follow)
    leaves = handshake(dut.o) & (ahead == 0)
    with m.If(handshake(dut.i) & ~followed & follow):
        m.d.sync += [followed.eq(1), content.eq(dut.i.payload)]
        m.d.sync += ahead.eq(inside.signal("fifo.level") - handshake(dut.o))
    with m.Elif(followed & handshake(dut.o)):
        m.d.sync += [ahead.eq(ahead - 1), followed.eq(~leaves)]
    before = 0
    for valid, held in inside.queued("", depth):
        m.d.comb += Assert(~(followed & valid & (ahead == before)) | (held == content))
        before = before + valid
    m.d.comb += [
        # Where it is read it is not written.
        Assert(inside.signal("fifo.produce") == _after(inside, depth - 1)),
        Assert(inside.signal("fifo.inner_level") < depth),
        Assert(inside.signal("fifo.consume") < depth - 1),
        Assert(~inside.collides("fifo.storage")),
        Assert(~followed | (ahead < inside.signal("fifo.level"))),
        Assert(~(followed & leaves) | (dut.o.payload == content)),
        Cover(followed & leaves & ~dut.i.ready),
    ]


def _after(inside: Opened, depth: int) -> Value:
    """Return the place after the last one that is taken, of a queue's memory."""
    place = inside.signal("fifo.consume") + inside.signal("fifo.inner_level")
    return Mux(place >= depth, place - depth, place)


def bursts(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Bursts(p, p.max_burst_words)
    source(m, dut.i, "i")
    free(m, dut.hurry)
    m.d.comb += Assume(dut.i.payload.words != 0)
    sink(m, dut.o, "o")
    ready_stays(m, Assert, dut.i, "i_ready")
    m.d.comb += Cover(handshake(dut.o) & (dut.o.payload.words == p.max_burst_words))


def fetcher(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Fetcher(p)
    source(m, dut.i_matmul, "i_matmul")
    source(m, dut.i, "i")
    for name, taker in (("o", dut.o), ("o_rows", dut.o_rows)):  # `Bursts` and a queue
        ready_stays(m, Assume, taker, f"{name}_ready")
        sink(m, taker, name)
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.o_rows))


def beats(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Beats(p)
    source(m, dut.i_rows, "i_rows")
    source(m, dut.i, "i")
    m.d.comb += Assume(dut.i_rows.payload.words != 0)
    sink(m, dut.o, "o")
    sink(m, dut.o_scales, "o_scales")
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.i_rows))


def train(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = SpikeTrain(p)
    source(m, dut.i, "i")
    source(m, dut.i_coding, "i_coding")
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o) & handshake(dut.i_coding))


def sequencer(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Sequencer(p)
    source(m, dut.i, "i")
    source(m, dut.i_beats, "i_beats")
    source(m, dut.i_matmul, "i_matmul")
    free(m, dut.array_idle, dut.array_storing, dut.release, dut.spike_sums)
    # The sums of a group stand while its mark is on offer (spike train).
    keeps(m, Assume, dut.i.valid, dut.spike_sums, name="spike_sums")
    # The array stays idle until it is given something.
    keeps(m, Assume, dut.array_idle, dut.array_idle | dut.o.valid, name="idle")
    sink(m, dut.o_tile, "o_tile")
    m.d.comb += Cover(handshake(dut.o_tile) & dut.o_tile.payload.half & ~dut.o_tile.payload.empty)


def marks(m: Module, p: HwParams) -> None:
    dut = GroupMarks(p)
    inside = Opened(m, dut)
    source(m, dut.i, "i")
    source(m, dut.i_group, "i_group")
    sink(m, dut.o, "o")
    event, given, group = dut.i.payload, dut.o.payload, dut.i_group.payload
    passed, last = Signal(), Signal.like(event.channel)  # an event since the last mark, and which
    with m.If(handshake(dut.o)):
        m.d.sync += [
            passed.eq((group != 0) & ~given.end & ~given.group_end),
            last.eq(event.channel),
        ]
    apart = Const(0)
    for field, size in enumerate(GROUPS, start=1):
        apart = Mux(group == field, event.channel // size != last // size, apart)
    own = Cat(given[name] != event[name] for name, _ in event_layout(p)).any()
    m.d.comb += [
        Assume((group <= len(GROUPS)) & (event.end | ~event.last)),
        Assert((passed == inside.signal("waits")) & (last == inside.signal("channel"))),
    ]
    with m.If(dut.o.valid):
        m.d.comb += [
            Assert(given.group_end == (passed & (event.end | apart))),
            Assert(~given.group_end | ((given.channel == last) & ~given.end & ~given.last)),
            Assert(given.group_end | ~own),
            Assert(dut.i.ready == (dut.o.ready & ~given.group_end)),
        ]
    with m.Else():
        m.d.comb += Assert(~handshake(dut.i))
    m.d.comb += Cover(handshake(dut.o) & given.group_end & ~event.end)


def scaler(m: Module, p: HwParams) -> None:
    dut = Scaler(p)
    inside = Opened(m, dut)
    free(m, dut.i_valid, dut.i, dut.psums, dut.index, dut.enable)
    # A place comes again no sooner than all is out (drain).
    under_way = [(dut.i_valid, dut.i.index)]
    for age in range(1, _SCALER_CYCLES + 1):
        valid, index = Signal(name=f"valid{age}"), Signal.like(dut.i.index, name=f"index{age}")
        m.d.sync += [valid.eq(under_way[-1][0]), index.eq(under_way[-1][1])]
        m.d.comb += Assume(~(dut.i_valid & valid) | (index != dut.i.index))
        under_way.append((valid, index))
    m.d.comb += [
        Assert(dut.busy == Cat(valid for valid, _ in under_way).any()),
        # What is read where there is no word is not used.
        Assert(~inside.collides("memory") | (dut.busy & ~under_way[_SCALER_READS][0])),
        Cover(dut.enable & ~dut.busy),
        Cover(under_way[0][0] & under_way[-1][0]),
    ]


def channel_words(m: Module, p: HwParams) -> None:
    dut = ChannelWords(p)
    inside = Opened(m, dut)
    source(m, dut.i, "i")
    source(m, dut.i_words, "i_words")
    free(m, dut.release, dut.half, dut.group, dut.enable)
    sink(m, dut.o_request, "o_request")
    keeps(m, Assert, ~dut.enable, dut.channels, name="channels")
    idle = inside.state("phase", "IDLE")
    loading = inside.state("phase", "LOAD")
    tiling = dut.i.payload.tiling
    for tile in (tiling.full, tiling.last):
        m.d.comb += Assume((tile.outputs != 0) & (tile.outputs <= p.tile_outputs))
    m.d.comb += [
        Assert(~loading | (inside.signal("group") <= inside.signal("last_group"))),
        Assert(~loading | (inside.signal("last_group") == inside.signal("groups") - 1)),
        Assert(idle | dut.i.valid),
        # The drain reads halves that are loaded (proof `drain`), and they are not written.
        Assume(~dut.enable | dut.loaded.bit_select(dut.half, 1)),
        Assert(~loading | ~dut.loaded.bit_select(inside.signal("half"), 1)),
        Assert(~(inside.collides("scales") | inside.collides("biases"))),
    ]
    m.d.comb += Cover(handshake(dut.i))


def drain(m: Module, p: HwParams) -> None:
    dut = Drain(p)
    inside = Opened(m, dut)
    source(m, dut.i_matmul, "i_matmul")
    source(m, dut.i_tile, "i_tile")
    source(m, dut.i_scales, "i_scales")
    free(m, dut.loaded, dut.scales, dut.scales_ready, dut.ready, dut.psums, dut.channels)
    free(m, dut.scaler_busy, dut.sums)
    tile = dut.i_tile.payload
    m.d.comb += Assume(~(tile.group & tile.sums))  # the sequencer's marks are one or the other
    # What was taken stays until something else is (array, channel words); a bank's thresholds stay
    # while a MATMUL needs them (controller, encoder, matrix path).
    keeps(m, Assume, ~dut.take, dut.psums, name="taken")
    keeps(m, Assume, ~dut.channel_enable, dut.channels, name="channels_taken")
    # A half stays loaded until it is released (channel words).
    for half in range(2):
        held = dut.loaded[half] & ~dut.release_words[half]
        keeps(m, Assume, held, dut.loaded[half], name=f"loaded{half}")
    # The array shows what was read until something else is, or an operation loads.
    shows = Signal()
    with m.If(dut.enable & dut.ready):
        m.d.sync += shows.eq(1)
    with m.Elif(~dut.ready):
        m.d.sync += shows.eq(0)
    for bank in range(2):
        needed = dut.i_matmul.valid & (dut.i_matmul.payload.bank == bank) & dut.scales_ready[bank]
        kept = (dut.scales_ready[bank], dut.scales[bank])
        keeps(m, Assume, needed, *kept, name=f"scales{bank}")
    sink(m, dut.o_row, "o_row")
    sink(m, dut.o, "o")
    walking = ~inside.state("phase", "TILE")
    grouping = inside.state("phase", "GROUP")
    leaving = walking & ~grouping
    bank = dut.i_matmul.payload.bank
    complete = dut.scales_ready.bit_select(bank, 1)
    m.d.comb += [
        Assert(~walking | (dut.i_matmul.valid & dut.i_tile.valid)),
        Assert(~leaving | (complete & ~tile.group)),
        Assert(~grouping | (tile.group & ~dut.o.valid)),
    ]
    of_bank = (inside.signal("threshold") >= p.tokens) == bank
    m.d.comb += Assert(~dut.o.valid | of_bank)
    m.d.comb += [
        Assert(~inside.signal("there") | inside.state("phase", "GROUP", "ROW", "WORDS")),
        Assert(~inside.signal("there") | shows | tile.sums),
        Assert(~dut.take | shows | tile.sums),
        Assert(~dut.channel_enable | dut.loaded.bit_select(dut.channel_half, 1)),
        Assert(~leaving | dut.loaded.bit_select(dut.channel_half, 1)),
        # It reads of the tile that it was given and not released, and sums that nothing adds to.
        Assert(~dut.enable | dut.i_tile.valid),
        Assert(dut.release == Mux(handshake(dut.i_tile) & ~tile.sums, 1 << tile.half, 0)),
        Assert((dut.release_words != 0) == (handshake(dut.i_tile) & ~tile.group)),
    ]
    m.d.comb += Assert(walking | ~dut.o.valid)
    m.d.comb += Cover(handshake(dut.i_matmul) & (dut.i_matmul.payload.tiling.tiles == 2))


def requantizer(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Requantizer(p)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    m.d.comb += Cover(handshake(dut.o))


def threshold(m: Module, p: HwParams) -> None:
    m.submodules.dut = dut = Threshold(p)
    source(m, dut.i, "i")
    sink(m, dut.o, "o")
    m.d.comb += Cover(dut.o.valid & ~dut.o.ready)
