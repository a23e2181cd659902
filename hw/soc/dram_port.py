"""AXI4 on LiteDRAM's port: what lets a narrow master have all of the DRAM's bandwidth.

To import this file needs LiteX. LiteDRAM's own way, `LiteDRAMAXI2Native` on a port with its width
converter, has one DRAM word under way at a time: it waits the whole latency of the DRAM for each.
"""

# pyright: reportMissingImports=false
# LiteX is an extra: the types are checked where it is installed.

from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import Array, Cat, If, Mux, Signal

__all__ = ["READ_WORDS", "WRITE_WORDS", "Block", "DramPort"]

READ_WORDS = 32
"""DRAM words that may be under way to the master: more than the latency of a read."""
WRITE_WORDS = 16
"""DRAM words that may wait to be written."""

_BURSTS = 16  # under way in each direction


class Block(LiteXModule):
    """LiteX's module, with types for what its `__getattr__` gives."""

    comb: Any
    sync: Any


class DramPort(Block):
    """An AXI4 slave of which each DRAM word serves as many beats as it holds.

    Bursts are of type INCR, of whole words of the bus. Data of reads come in the order of the
    addresses. A write is answered when its last DRAM word is in the controller's queue: a read
    whose address comes after the answer sees it, since the controller keeps the order in a bank.

    Parameters
    ----------
    axi : AXIInterface
        The master's bus.
    crossbar : LiteDRAMCrossbar
        Of the DRAM controller.
    """

    def __init__(self, axi: Any, crossbar: Any) -> None:
        # A bus wider than a DRAM word takes LiteDRAM's converter, which costs little that way.
        port = crossbar.get_port(data_width=max(axi.data_width, crossbar.controller.data_width))
        self.reader = reader = _Reader(axi, port)
        self.writer = writer = _Writer(axi, port)
        self.comb += [
            # Writes are few: they go first.
            port.cmd.valid.eq(writer.request | reader.request),
            port.cmd.we.eq(writer.request),
            port.cmd.last.eq(1),
            port.cmd.addr.eq(Mux(writer.request, writer.word, reader.word)),
            writer.taken.eq(writer.request & port.cmd.ready),
            reader.taken.eq(~writer.request & reader.request & port.cmd.ready),
        ]


def _beat(axi: Any, port: Any) -> tuple[int, int]:
    """Return bits of a byte's place in a beat, and of a beat's place in a DRAM word."""
    byte = (axi.data_width // 8 - 1).bit_length()
    return byte, (port.data_width // axi.data_width - 1).bit_length()


def _job(axi: Any, port: Any) -> list[tuple[str, int]]:
    """Return the layout of a burst under way: who wants it, where it begins, its beats - 1."""
    return [("id", axi.id_width), ("begin", max(_beat(axi, port)[1], 1)), ("len", 8)]


class _Bursts(Block):
    """Hand on bursts with their first DRAM word, and the beat in it.

    Members
    -------
    source : Endpoint
        A job, its first word, and its words - 1.
    """

    def __init__(self, channel: Any, axi: Any, port: Any) -> None:
        byte, beat = _beat(axi, port)
        words = [("word", len(port.cmd.addr)), ("words", 8)]
        self.queue = stream.SyncFIFO([*_job(axi, port), ("word", len(port.cmd.addr))], 4)
        self.source = stream.Endpoint([*_job(axi, port), *words])
        first = channel.addr[byte : byte + beat] if beat else 0
        last = Signal(9)
        self.comb += [
            self.queue.sink.valid.eq(channel.valid),
            channel.ready.eq(self.queue.sink.ready),
            self.queue.sink.id.eq(channel.id),
            self.queue.sink.begin.eq(first),
            self.queue.sink.len.eq(channel.len),
            self.queue.sink.word.eq(channel.addr[byte + beat :]),
            self.queue.source.connect(self.source),
            last.eq(self.queue.source.begin + self.queue.source.len),
            self.source.words.eq(last >> beat),
        ]


class _Reader(Block):
    """AR and R.

    Members
    -------
    request, word, taken : Signal
        A DRAM word to be read, and whether the controller takes it.
    """

    def __init__(self, axi: Any, port: Any) -> None:
        self.request, self.taken = Signal(), Signal()
        self.word = Signal(len(port.cmd.addr))
        _, beat = _beat(axi, port)

        # Words to ask for.
        self.bursts = bursts = _Bursts(axi.ar, axi, port)
        self.jobs = jobs = stream.SyncFIFO(_job(axi, port), _BURSTS)
        active, left = Signal(), Signal(8)
        begin = Signal()
        reserved = Signal(max=READ_WORDS + 1)
        self.comb += [
            begin.eq(~active | (self.taken & (left == 0))),
            jobs.sink.valid.eq(bursts.source.valid & begin),
            bursts.source.ready.eq(jobs.sink.ready & begin),
            *(getattr(jobs.sink, n).eq(getattr(bursts.source, n)) for n in ("id", "begin", "len")),
            self.request.eq(active & (reserved != READ_WORDS)),
        ]
        self.sync += [
            If(self.taken, self.word.eq(self.word + 1), left.eq(left - 1)),
            If(
                begin,
                active.eq(bursts.source.valid & jobs.sink.ready),
                self.word.eq(bursts.source.word),
                left.eq(bursts.source.words),
            ),
        ]

        # Words that come, cut into beats.
        self.words = words = stream.SyncFIFO([("data", port.data_width)], READ_WORDS)
        done, place, chosen = Signal(8), Signal(max(beat, 1)), Signal(max(beat, 1))
        job, r = jobs.source, axi.r
        beats = Array(
            words.source.data[axi.data_width * i : axi.data_width * (i + 1)]
            for i in range(1 << beat)
        )
        moves = Signal()
        self.comb += [
            words.sink.valid.eq(port.rdata.valid),
            words.sink.data.eq(port.rdata.data),
            port.rdata.ready.eq(1),
            chosen.eq(Mux(done == 0, job.begin, place)),
            r.valid.eq(job.valid & words.source.valid),
            r.id.eq(job.id),
            r.data.eq(beats[chosen]),
            r.last.eq(done == job.len),
            r.resp.eq(0),
            moves.eq(r.valid & r.ready),
            job.ready.eq(moves & r.last),
            words.source.ready.eq(moves & (r.last | (chosen == (1 << beat) - 1))),
        ]
        self.sync += [
            reserved.eq(reserved + self.taken - (words.source.valid & words.source.ready)),
            If(moves, done.eq(Mux(r.last, 0, done + 1)), place.eq(chosen + 1 if beat else 0)),
        ]


class _Writer(Block):
    """AW, W and B.

    Members
    -------
    request, word, taken : Signal
        A DRAM word to be written, and whether the controller takes it.
    """

    def __init__(self, axi: Any, port: Any) -> None:
        self.request, self.taken = Signal(), Signal()
        self.word = Signal(len(port.cmd.addr))
        _, beat = _beat(axi, port)
        count, width = 1 << beat, axi.data_width

        self.bursts = bursts = _Bursts(axi.aw, axi, port)
        place = [("id", axi.id_width), ("word", len(port.cmd.addr)), ("ends", 1)]
        self.places = places = stream.SyncFIFO(place, WRITE_WORDS)
        self.words = words = stream.SyncFIFO(
            [("data", port.data_width), ("we", port.data_width // 8)], WRITE_WORDS
        )
        self.answers = answers = stream.SyncFIFO([("id", axi.id_width)], _BURSTS)

        # Beats, gathered to words. A word's data are queued before the controller is asked.
        job, w = bursts.source, axi.w
        begun, index, distance = Signal(), Signal(max(beat, 1)), Signal(8)
        chosen, complete = Signal(max(beat, 1)), Signal()
        held_data = [Signal(width) for _ in range(count)]
        held_we = [Signal(width // 8) for _ in range(count)]
        here = [chosen == i for i in range(count)]
        self.comb += [
            chosen.eq(Mux(begun, index, job.begin)),
            complete.eq(w.last | (chosen == count - 1)),
            w.ready.eq(job.valid & (~complete | (words.sink.ready & places.sink.ready))),
            words.sink.valid.eq(w.valid & job.valid & complete & places.sink.ready),
            places.sink.valid.eq(w.valid & job.valid & complete & words.sink.ready),
            words.sink.data.eq(
                Cat(Mux(h, w.data, d) for h, d in zip(here, held_data, strict=True))
            ),
            words.sink.we.eq(Cat(Mux(h, w.strb, d) for h, d in zip(here, held_we, strict=True))),
            places.sink.id.eq(job.id),
            places.sink.word.eq(job.word + distance),
            places.sink.ends.eq(w.last),
            job.ready.eq(w.valid & w.ready & w.last),
        ]
        for i in range(count):
            self.sync += If(
                w.valid & w.ready,
                If(here[i], held_data[i].eq(w.data), held_we[i].eq(w.strb)),
                If(complete, held_we[i].eq(0)),
            )
        self.sync += If(
            w.valid & w.ready,
            begun.eq(~w.last),
            index.eq(chosen + 1 if beat else 0),
            If(complete, distance.eq(distance + 1)),
            If(w.last, distance.eq(0)),
        )

        # Words to write, and the answers.
        self.comb += [
            self.request.eq(places.source.valid & answers.sink.ready),
            self.word.eq(places.source.word),
            places.source.ready.eq(self.taken),
            answers.sink.valid.eq(self.taken & places.source.ends),
            answers.sink.id.eq(places.source.id),
            port.wdata.valid.eq(words.source.valid),
            port.wdata.data.eq(words.source.data),
            port.wdata.we.eq(words.source.we),
            words.source.ready.eq(port.wdata.ready),
            axi.b.valid.eq(answers.source.valid),
            axi.b.id.eq(answers.source.id),
            axi.b.resp.eq(0),
            answers.source.ready.eq(axi.b.ready),
        ]
