"""From event to addition: fork, fetcher, queues, train, beats, sequencer never wait for each other.

Weights of one width, rows of one length and groups of one size, any of them, for a whole run.
"""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib.wiring import connect

from hw.common.stream import Queue
from hw.contract.isa import Coding
from hw.contract.params import GROUPS, HwParams
from hw.matmul.beats import Beats
from hw.matmul.fetch import Fetcher, row_words_layout
from hw.matmul.sequencer import Sequencer
from hw.matmul.tiling import tile_layout
from hw.spike.marks import GROUP, marked_layout
from hw.spike.train import SpikeTrain
from tests.formal.progress import PATIENCE, fair
from tests.formal.rules import (
    Opened,
    constant,
    free,
    handshake,
    keeps,
    ready_stays,
    source,
    valid_stays,
)
from tests.formal.spikes import Waiting

__all__ = ["MOVES_CYCLES", "MOVES_CYCLES_A_WORD", "moving"]

MOVES_CYCLES = 3 * PATIENCE + 8
"""Within which something moves, where a beat of weights is one word or less."""
MOVES_CYCLES_A_WORD = PATIENCE + 2
"""More for each further word of a beat."""
_COUNT_WIDTH = 16


def is_mark(event) -> Value:
    """Return whether it is no event, but the end of a tile or of a group."""
    return event.end | event.group_end


class Path:
    """The blocks, connected as in the matrix path, between events and a fair memory and drain.

    Parameters
    ----------
    m : Module
        Where they are put.
    p : HwParams
        The accelerator.
    """

    def __init__(self, m: Module, p: HwParams) -> None:
        self.fetcher, self.train, self.beats = Fetcher(p), SpikeTrain(p), Beats(p)
        self.sequencer = Sequencer(p)
        self.events = Queue(marked_layout(p), p.event_depth)
        self.rows = Queue(row_words_layout(p), p.event_depth)
        self.inside = {
            name: Opened(m, getattr(self, name), name)
            for name in ("fetcher", "train", "beats", "sequencer", "events", "rows")
        }
        self.event = Signal(marked_layout(p))
        self.offered, self.taken = Signal(), Signal()
        fetcher, sequencer = self.fetcher, self.sequencer
        free(m, self.offered, self.event)
        waits = self.offered & ~self.taken
        keeps(m, Assume, waits, self.offered, self.event, name="event")
        both = fetcher.i.ready & self.events.i.ready
        m.d.comb += [
            self.taken.eq(self.offered & both),
            fetcher.i.valid.eq(self.offered & both),
            self.events.i.valid.eq(self.offered & both),
            self.events.i.payload.eq(self.event),
        ]
        for name in ("channel", "end", "last", "group_end"):
            m.d.comb += fetcher.i.payload[name].eq(self.event[name])
        m.d.comb += Assume(~(self.event.end & self.event.group_end))
        if p.skip_silent:
            fires = Cat(count != 0 for count in self.event.counts).any()
            m.d.comb += Assume(is_mark(self.event) | fires)
        connect(m, fetcher.o_rows, self.rows.i)
        connect(m, self.rows.o, self.beats.i_rows)
        connect(m, self.events.o, self.train.i)
        connect(m, self.train.o, sequencer.i)
        connect(m, self.beats.o, sequencer.i_beats)
        self._shape(m, p)
        self._memory(m)
        self._drain(m)

        self.waiting = Waiting(m, self.train, self.inside["train"])

    def _shape(self, m: Module, p: HwParams) -> None:
        """Let the rows of all MATMULs be alike, in any one shape that `HwParams` allows."""
        coding = constant(m, Coding, "coding_of_run")
        self.extent = extent = constant(m, tile_layout(p), "extent_of_run")
        group = constant(m, GROUP, "group_of_run")
        self.width = width = constant(m, 4, "width_of_run")
        m.d.comb += Assume(coding.as_value() < len(Coding))
        m.d.comb += Assume((extent.row_words != 0) & (extent.row_beats <= p.banks))
        m.d.comb += Assume((extent.scale_words != 0) & (extent.scale_words <= p.scale_depth))
        m.d.comb += Assume(group <= len(GROUPS))
        m.d.comb += Assume((group != 0) | ~self.event.group_end)
        with m.Switch(width):
            for each in p.weight_widths:
                with m.Case(each):
                    m.d.comb += Assume(
                        extent.row_words * p.axi_data_width == extent.row_beats * p.lanes * each
                    )
            with m.Default():
                m.d.comb += Assume(False)
        matmuls = {
            "fetches": self.fetcher.i_matmul,
            "codings": self.train.i_coding,
            "sequences": self.sequencer.i_matmul,
        }
        self.missing = {}
        for name, matmul in matmuls.items():
            free(m, matmul.valid)
            valid_stays(m, Assume, matmul, name)
            self.missing[name] = fair(m, ~matmul.valid, name)
        m.d.comb += self.train.i_coding.payload.eq(coding)
        for matmul in (self.fetcher.i_matmul, self.sequencer.i_matmul):
            tiling = matmul.payload.tiling
            m.d.comb += [tiling.full.eq(extent), tiling.last.eq(extent)]
            m.d.comb += [tiling.tiles.eq(1), tiling.single.eq(1)]
        m.d.comb += self.fetcher.i_matmul.payload.weight_width.eq(width)
        m.d.comb += self.fetcher.i_matmul.payload.group.eq(group)
        m.d.comb += self.sequencer.i_matmul.payload.grouped.eq(group != 0)
        m.d.comb += self.sequencer.i_matmul.payload.coding.eq(coding)

    def _memory(self, m: Module) -> None:
        """Take segments and deliver exactly their words."""
        segment, word = self.fetcher.o, self.beats.i
        free(m, segment.ready)
        ready_stays(m, Assume, segment, "segment_ready")
        source(m, word, "words")
        self.owed = Signal(_COUNT_WIDTH)
        asked = Mux(handshake(segment), segment.payload.words, 0)
        m.d.sync += self.owed.eq(self.owed + asked - handshake(word))
        m.d.comb += Assume(~word.valid | (self.owed != 0))
        self.missing["segments"] = fair(m, ~segment.ready, "segments")
        self.missing["words"] = fair(m, (self.owed != 0) & ~word.valid, "words")

    def _drain(self, m: Module) -> None:
        """Take tiles, groups and scales, and release halves."""
        sequencer, scales = self.sequencer, self.beats.o_scales
        free(m, scales.ready, sequencer.spike_sums)
        self.missing["scales"] = fair(m, scales.valid & ~scales.ready, "scales")
        self.occupied = occupied = self.inside["sequencer"].signal("occupied")
        free(m, sequencer.o_tile.ready, sequencer.release)
        free(m, sequencer.array_idle, sequencer.array_storing)
        idle = sequencer.array_idle
        keeps(m, Assume, idle, idle | sequencer.o.valid, name="array_idle")
        self.added = Signal()  # in the last cycle; else no beat is stored beside the next one
        m.d.sync += self.added.eq(sequencer.o.valid)
        m.d.comb += Assume(self.added | ~sequencer.array_storing)
        m.d.comb += Assume((sequencer.release & ~occupied) == 0)
        self.missing["idle"] = fair(m, ~idle & ~sequencer.o.valid, "idle")
        tile = sequencer.o_tile
        self.missing["tiles"] = fair(m, tile.valid & ~tile.ready, "tiles")
        for half in range(2):
            held = occupied[half] & ~sequencer.release[half]
            self.missing[f"half{half}"] = fair(m, held, f"half{half}")


def in_step(m: Module, p: HwParams, path: Path) -> Value:
    """Assert that events, rows, words and beats stay in step; return how many events are inside."""
    layout, extent = row_words_layout(p), path.extent
    beats, sequencer, fetcher = (path.inside[n] for n in ("beats", "sequencer", "fetcher"))
    bank, fresh = sequencer.signal("bank"), sequencer.signal("fresh")
    train = path.sequencer.i
    offered = fetcher.signal("offered"), path.fetcher.o_rows.payload
    held = [
        (valid, marked_layout(p)(content))
        for valid, content in path.inside["events"].queued("", p.event_depth)
    ]
    waiting = path.waiting.valid & ~path.waiting.mark
    at_hand = train.valid & ~is_mark(train.payload)
    events = sum((valid & ~is_mark(event) for valid, event in held), waiting + at_hand)
    queued = [
        (valid, layout(content)) for valid, content in path.inside["rows"].queued("", p.event_depth)
    ]
    before = [*_in_fetcher(p, path), offered]
    for valid, row in [*queued, *before]:
        words = Mux(row.scales, extent.scale_words, extent.row_words)
        alike = (row.words == words) & (row.weight_width == path.width)
        m.d.comb += Assert(~valid | alike)
    rows = sum(valid & ~row.scales for valid, row in [*queued, *before])
    owed = sum(Mux(valid, row.words, 0) for valid, row in queued)
    at_head = queued[0][0] & ~queued[0][1].scales

    m.d.comb += Assert(~offered[0] | (path.fetcher.o.payload.words == offered[1].words))

    taken = beats.signal("taken_words")
    beat_index, word_index = beats.signal("beat_index"), beats.signal("word_index")
    produced = Signal(range(2 * p.banks + 1))  # beats of the row at hand that have left `Beats`
    with m.If(~at_head):
        m.d.comb += Assert((beat_index == 0) & (word_index == 0))
    with m.Switch(Mux(at_head, path.width, 0)):
        for width in p.weight_widths:
            with m.Case(width):
                ratio = p.axi_data_width // (p.lanes * width)
                if ratio >= 1:
                    m.d.comb += produced.eq(taken * ratio + beat_index)
                    m.d.comb += Assert((beat_index < ratio) & (word_index == 0))
                else:
                    inverse = p.lanes * width // p.axi_data_width
                    m.d.comb += Assert((taken - word_index)[: len(taken)] % inverse == 0)
                    m.d.comb += Assert((word_index < inverse) & (beat_index == 0))
                    m.d.comb += Assert(word_index <= taken)
                    m.d.comb += produced.eq((taken - word_index) // inverse)
    beat = path.beats.o.valid
    last = beat & (bank == extent.row_beats - 1)  # that row has left the queue of rows
    m.d.comb += [
        Assert(events == rows + last),
        Assert(path.owed == (owed - taken)[:_COUNT_WIDTH]),
        Assert(Mux(queued[0][0], taken < queued[0][1].words, taken == 0)),
        Assert(produced == Mux(last, 0, bank + beat)),
        Assert(bank < extent.row_beats),
        Assert(((bank == 0) & fresh) | at_hand),
        Assert(fresh | beat),
    ]
    return events


def _in_fetcher(p: HwParams, path: Path) -> list:
    """Return the rows in the fetcher whose addresses are being found: whether they are, and what.

    An end asks for none.
    """
    fetcher = path.inside["fetcher"]
    layout, base = row_words_layout(p), len(path.fetcher.i_matmul.payload.base)
    stages = [("valid", "placed"), *([("held_valid", "held")] if p.grouped else [])]
    rows = []
    for valid, content in stages:
        row_and_end = fetcher.signal(content)[-(layout.size + 1) - (base + 1) : -(base + 1)]
        rows.append((fetcher.signal(valid) & ~row_and_end[-1], layout(row_and_end[:-1])))
    return rows


def moving(m: Module, p: HwParams) -> None:
    """Bound the time since something moved.

    That is: an event is taken, an operation made, scales go to the drain, or a tile or group does.
    """
    path = Path(m, p)
    events = in_step(m, p, path)
    sequencer, train, missing = path.sequencer, path.sequencer.i, path.missing
    matmul, beat = sequencer.i_matmul, path.beats.o.valid
    event_head = path.inside["events"].signal("fifo.r_rdy")
    event_level = path.inside["events"].signal("fifo.level")
    row_head = path.inside["rows"].signal("fifo.r_rdy")
    row_level = path.inside["rows"].signal("fifo.level")
    fetching = path.inside["fetcher"].signal("valid")
    asking = path.inside["fetcher"].signal("offered")
    half = path.inside["sequencer"].signal("half")

    age = Signal(8)
    inside = train.valid | path.waiting.valid | (event_level != 0)
    scales = handshake(path.beats.o_scales)
    moves = path.taken | sequencer.o.valid | handshake(sequencer.o_tile) | scales
    m.d.sync += age.eq(Mux(moves | ~(inside | path.offered), 0, age + 1))

    def within(condition: Value, bound: Value) -> None:
        m.d.comb += Assert(~condition | (age <= bound), src_loc_at=1)

    patience = PATIENCE
    # An event that is offered finds the fetcher without a MATMUL, or with an end mark to pass.
    within(~path.fetcher.i_matmul.valid, missing["fetches"] + 1)
    if p.grouped:  # or a group's length is not known yet; its distance takes a cycle
        within(~path.inside["fetcher"].signal("settled"), patience + 2)
        blocked = asking & _in_fetcher(p, path)[0][0]
        within(path.inside["fetcher"].signal("held_valid") & ~blocked, 0)
    # On the way to the sequencer.
    on_its_way = inside & ~train.valid
    within(on_its_way & ~path.waiting.valid & ~event_head, 1)
    within(on_its_way & ~path.waiting.valid, 2)
    within(on_its_way & ~path.train.i_coding.valid, missing["codings"] + 3)
    within(on_its_way, patience + 4)
    # Its beats, meanwhile.
    asked = Cat(valid for valid, _ in _in_fetcher(p, path)).any() | asking | (row_level != 0)
    hungry = ~beat & ((events != 0) | (~inside & asked))  # or only scales are under way
    within(~inside & fetching & ~hungry, 1)
    within(hungry & (row_level == 0) & ~asking, 1)
    within(hungry & (row_level == 0), missing["segments"] + 2)
    within(hungry & ~row_head, patience + 4)
    word_index = path.inside["beats"].signal("word_index")
    waits = patience + 4 + word_index * (patience + 2)
    within(hungry & ~path.beats.i.valid, waits + missing["words"])
    # Scales of groups before, meanwhile.
    scales_waiting = path.beats.o_scales.valid
    within(hungry, waits + patience + 1 + Mux(scales_waiting, missing["scales"], 0))
    # At the sequencer.
    within(~matmul.valid, missing["sequences"] + 1)
    for index in range(2):
        occupied = path.occupied[index] & (half == index)
        within(occupied, missing[f"half{index}"] + 1)
    within(path.added, 0)
    within(~sequencer.array_idle & ~sequencer.o.valid, missing["idle"] + 1)
    words = max(1, p.lanes * max(p.weight_widths) // p.axi_data_width)  # of a beat
    limit = MOVES_CYCLES + (words - 1) * MOVES_CYCLES_A_WORD
    within(sequencer.o_tile.valid, limit - patience - 1 + missing["tiles"])
    m.d.comb += [
        Assert(age < limit),
        Cover(handshake(sequencer.o_tile) & sequencer.o_tile.payload.half),
        Cover(sequencer.o.valid & (age == 2 * patience)),
        Cover(handshake(sequencer.o_tile) & sequencer.o_tile.payload.sums & scales),
    ]
