"""Spike buffer and event queue: every firing channel once, in order, no silent one, then the mark.

One channel is chosen, any of them, and followed from the encoder's writing to the events.
"""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Assume, Cover
from amaranth.utils import exact_log2

from hw.contract.params import HwParams
from hw.spike.buffer import SpikeBuffer, batch_layout
from hw.spike.events import EventQueue
from tests.formal.rules import Opened, constant, free, handshake, sink, source


class Pair:
    """The two blocks, connected as in the matrix path, and an encoder that writes any batches.

    Parameters
    ----------
    m : Module
        Where they are put.
    p : HwParams
        The accelerator.
    """

    def __init__(self, m: Module, p: HwParams) -> None:
        self._m, self._p = m, p
        self.spikes, self.events = spikes, events = SpikeBuffer(p), EventQueue(p)
        self.in_spikes, self.in_events = Opened(m, spikes, "spikes"), Opened(m, events, "events")
        m.d.comb += [
            spikes.i_batch.payload.eq(events.i_batch.payload),
            spikes.i_batch.valid.eq(handshake(events.i_batch)),
            spikes.scan_address.eq(events.scan_address),
            spikes.scan_enable.eq(events.scan_enable),
            spikes.channel.eq(events.channel),
            spikes.channel_enable.eq(events.channel_enable),
            events.channels.eq(spikes.channels),
            events.ready_words.eq(spikes.ready_words),
            events.scan_fires.eq(spikes.scan_fires),
            events.counts.eq(spikes.counts),
        ]
        source(m, events.i, "walks")
        source(m, events.i_batch, "batches")
        walk, extent = events.i.payload, events.i_batch.payload
        m.d.comb += [
            Assume(walk.new_batch | (walk.tiles != 0)),
            Assume((extent.tokens != 0) & (extent.tokens <= p.tokens)),
            Assume((extent.channels != 0) & (extent.channels <= p.max_channels)),
        ]
        self._write()

    def _write(self) -> None:
        """Write group after group, token after token, with pauses; then the next batch may come."""
        m, p, write = self._m, self._p, self.spikes.i.payload
        lanes_log2 = exact_log2(p.encode_lanes)
        self.batch = Signal(batch_layout(p), name="written_batch")
        self.token, self.group = Signal(8, name="written_token"), Signal.like(write.group)
        self.done = self.token == self.batch.tokens
        self.last_group = Signal.like(write.group)
        free(m, self.spikes.i.valid, write)
        m.d.comb += [
            self.last_group.eq((self.batch.channels - 1) >> lanes_log2),
            Assume(~self.spikes.i.valid | (~self.done & (write.token == self.token))),
            Assume(write.group == self.group),
            Assume(~self.events.i_batch.valid | self.done),
        ]
        for lane in range(p.encode_lanes):
            channel = (self.group << lanes_log2) + lane
            m.d.comb += Assume((channel < self.batch.channels) | (write.counts[lane] == 0))
        with m.If(self.spikes.i.valid):
            m.d.sync += self.group.eq(self.group + 1)
            with m.If(self.group == self.last_group):
                m.d.sync += [self.group.eq(0), self.token.eq(self.token + 1)]
        with m.If(self.spikes.i_batch.valid):
            m.d.sync += [
                self.batch.eq(self.spikes.i_batch.payload),
                self.token.eq(0),
                self.group.eq(0),
            ]


class Followed:
    """The chosen channel: what was written for it, and that both memories have it.

    Parameters
    ----------
    m, p, pair
        Module, parameters, the connected blocks.
    """

    def __init__(self, m: Module, p: HwParams, pair: Pair) -> None:
        self._m, self._p, self._pair = m, p, pair
        lanes_log2, scan_log2 = exact_log2(p.encode_lanes), exact_log2(p.scan_width)
        self.channel = constant(m, range(p.max_channels), "chosen")
        self.group = self.channel >> lanes_log2
        self.word, self.bit = self.channel >> scan_log2, self.channel[:scan_log2]
        self.counts = Signal.like(pair.spikes.counts)
        lane = self.channel[:lanes_log2]
        write = pair.spikes.i.payload
        here = pair.spikes.i.valid & (write.group == self.group)
        for token in range(p.tokens):
            with m.If(here & (write.token == token)):
                for index in range(p.encode_lanes):
                    with m.If(lane == index):
                        m.d.sync += self.counts[token].eq(write.counts[index])
        with m.If(pair.spikes.i_batch.valid):
            m.d.sync += [count.eq(0) for count in self.counts]
        fires = Cat(count != 0 for count in self.counts).any()
        self.wanted = fires if p.skip_silent else self.channel < pair.batch.channels
        self._memories(lane)

    def _memories(self, lane: Value) -> None:
        m, p, pair = self._m, self._p, self._pair
        groups_log2 = exact_log2(p.scan_width // p.encode_lanes)
        inside = pair.in_spikes
        words = (pair.batch.channels + p.scan_width - 1) >> exact_log2(p.scan_width)
        whole = self.word < words
        position, place = pair.group[:groups_log2], self.group[:groups_log2]
        gathering = (pair.group >> groups_log2) == self.word
        gathered = inside.signal("gathered").bit_select(self.bit, 1)
        fires_now = Const(0)
        for token in range(p.tokens):
            past, now = pair.token > token, pair.token == token
            count = self.counts[token]
            fires = count != 0
            fires_now = Mux(now, fires, fires_now)
            written = (self.group <= pair.last_group) & (past | (now & (pair.group > self.group)))
            group = inside.memory(f"counts{token}", self.group)
            bitmap = inside.memory(f"bitmap{token}", self.word)
            held = group.word_select(lane, p.spike_width).as_signed()
            listed = bitmap.bit_select(self.bit, 1)
            mine = token < pair.batch.tokens
            m.d.comb += [
                Assert(~inside.collides(f"counts{token}")),
                Assert(~inside.collides(f"bitmap{token}")),
                Assert(~(mine & written) | (held == count)),
                Assert((mine & written) | ~fires),
                Assert(~mine | ~((past & whole) | written) | (listed == fires)),
            ]
        last = pair.token == pair.batch.tokens - 1
        ready = Mux(pair.done, words, Mux(last, pair.group >> groups_log2, 0))
        m.d.comb += [
            Assert(~(gathering & (position > place) & ~pair.done) | (gathered == fires_now)),
            Assert(~(gathering & (position <= place) & (position != 0)) | ~gathered),
            Assert(inside.signal("ready_words") == ready),
            Assert(batch_layout(p)(inside.signal("batch")) == pair.batch),
            Assert(pair.batch.tokens <= p.tokens),
            Assert(pair.batch.channels <= p.max_channels),
            Assert((pair.batch.tokens != 0) == (pair.batch.channels != 0)),
            Assert(pair.token <= pair.batch.tokens),
            Assert(Mux(pair.done, pair.group == 0, pair.group <= pair.last_group)),
        ]
        self.words = words


def every_event_once(m: Module, p: HwParams) -> None:
    """Follow the chosen channel through the walks of its batch."""
    pair = Pair(m, p)
    followed = Followed(m, p, pair)
    events = pair.events
    event, walk = events.o.payload, events.i.payload
    sink(m, events.o, "o")
    channel, wanted = followed.channel, followed.wanted

    # What came out in this tile, and how many end marks in this walk.
    seen, least = Signal(), Signal(range(p.max_channels + 1))
    ends, tiles = Signal(24), Signal(24)
    with m.If(handshake(events.o)):
        m.d.sync += [
            seen.eq(~event.end & (seen | (event.channel == channel))),
            least.eq(Mux(event.end, 0, event.channel + 1)),
        ]
        with m.If(event.end):
            m.d.sync += ends.eq(Mux(event.last, 0, ends + 1))
    with m.If(handshake(events.i)):
        m.d.sync += tiles.eq(walk.tiles)
    with m.If(events.o.valid & event.end):
        m.d.comb += [
            Assert(pair.done),
            Assert(~wanted | seen),
            Assert(event.channel == pair.batch.channels),
            Assert(Mux(event.last, ends == tiles - 1, events.i.valid & (ends < walk.tiles - 1))),
        ]
    with m.If(events.o.valid & ~event.end):
        m.d.comb += Assert((event.channel >= least) & ~event.last)
        with m.If(event.channel == channel):
            m.d.comb += Assert(wanted & (event.counts == followed.counts))
            m.d.comb += Assert(channel < pair.batch.channels)
    channels = 20 if p.skip_silent else 4  # each takes a cycle
    m.d.comb += [
        Cover(events.o.valid & event.end & event.last & (ends == 1) & seen & (least == channels)),
        Cover(handshake(events.o) & ~event.end & ~pair.done),  # the walk follows the encoder
    ]
    _walk(m, p, pair, followed, seen, least, ends)


def _walk(m, p, pair, followed, seen, least, ends) -> None:
    """Assert how the event queue's registers follow from what came out."""
    events, inside = pair.events, pair.in_events
    event, walk = events.o.payload, events.i.payload
    tile, next_word, fires, base, searched, lowest = (
        inside.signal(name) for name in ("tile", "next_word", "fires", "base", "searched", "lowest")
    )
    word_valid = inside.signal("word_valid")
    # What has been put into the output register, in the tile that is being walked.
    put, put_least = Signal(), Signal(range(p.max_channels + 1))
    free_output = ~events.o.valid | events.o.ready
    with m.If(events.channel_enable):
        m.d.sync += [
            put.eq(put | (events.channel == followed.channel)),
            put_least.eq(events.channel + 1),
        ]
    with m.If(inside.signal("end_valid") & free_output):
        m.d.sync += [put.eq(0), put_least.eq(0)]
    offers = events.o.valid & ~event.end
    ended = events.o.valid & event.end
    is_chosen = event.channel == followed.channel
    m.d.comb += [
        Assert(put == Mux(ended, 0, seen | (offers & is_chosen))),
        Assert(put_least == Mux(offers, event.channel + 1, Mux(ended, 0, least))),
        Assert(~ended | (seen == followed.wanted)),
        Assert(tile == Mux(ended, Mux(event.last, 0, ends + 1), ends)),
        Assert((tile == 0) | (tile < walk.tiles)),
        Assert(least <= p.max_channels),
    ]

    walking = inside.signal("walking")
    started = (next_word != 0) | word_valid | (searched != 0) | (fires != 0)
    at_base = followed.word == base
    bit = fires.bit_select(followed.bit, 1)
    first = base << exact_log2(p.scan_width)
    m.d.comb += [
        Assert(walking | ~(started | put | (tile != 0) | offers)),
        Assert(next_word == searched + word_valid),
        Assert(next_word <= events.ready_words),
        Assert(inside.signal("event_valid") == (fires != 0)),
        Assert((fires == 0) | (base + 1 == searched)),
        # The chosen channel is put once its word is searched, unless it still waits in `fires`.
        Assert(followed.wanted | ~(put | ((fires != 0) & at_base & bit))),
        Assert((followed.word < searched) | ~put),
        Assert(
            ~(followed.wanted & (followed.word < searched))
            | (put == ~((fires != 0) & at_base & bit))
        ),
        # What still waits comes after what was put.
        Assert((fires == 0) | (put_least <= first + lowest)),
        Assert(put_least <= searched << exact_log2(p.scan_width)),
    ]
    read = Const(0)
    for token in range(p.tokens):
        listed = pair.in_spikes.read_data(f"bitmap{token}").bit_select(followed.bit, 1)
        read = read | ((token < pair.batch.tokens) & listed)
    if p.skip_silent:
        taken = word_valid & (followed.word == searched)
        m.d.comb += Assert(~taken | (read == followed.wanted))
    m.d.comb += Assert(~followed.wanted | (followed.channel < pair.batch.channels))
