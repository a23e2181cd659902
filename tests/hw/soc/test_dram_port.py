"""Bursts on a DRAM's words: every byte right, and a word each other cycle where the DRAM can."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")

from litedram.common import LiteDRAMNativePort
from litex.soc.interconnect.axi import AXIInterface
from migen import passive, run_simulation

from hw.soc.dram_port import READ_WORDS, WRITE_WORDS, DramPort

WORD_BITS, WORDS = 128, 64
LATENCY = 12


class Dram:
    """What LiteDRAM's crossbar offers, and a controller behind it, now and then not ready."""

    def __init__(self, rng, busy: float) -> None:
        self.controller = SimpleNamespace(data_width=WORD_BITS)
        self.bytes = rng.integers(0, 256, WORDS * WORD_BITS // 8, np.uint8)
        self._rng, self._busy = rng, busy

    def get_port(self, data_width):
        assert data_width == WORD_BITS
        self.port = LiteDRAMNativePort("both", 10, WORD_BITS)
        return self.port

    @passive
    def run(self):
        port, now = self.port, 0
        reads, writes = [], []  # when, which word
        size = WORD_BITS // 8
        while True:
            yield port.cmd.ready.eq(int(self._rng.random() >= self._busy))
            word = reads.pop(0)[1] if reads and reads[0][0] <= now else None
            yield port.rdata.valid.eq(word is not None)
            if word is not None:
                raw = self.bytes[word * size : (word + 1) * size].tobytes()
                yield port.rdata.data.eq(int.from_bytes(raw, "little"))
            stored = writes.pop(0)[1] if writes and writes[0][0] <= now else None
            yield port.wdata.ready.eq(stored is not None)
            yield
            now += 1
            if stored is not None:
                assert (yield port.wdata.valid), "the DRAM found no data for a write"
                raw = (yield port.wdata.data).to_bytes(size, "little")
                strobes = yield port.wdata.we
                for i in range(size):
                    if strobes >> i & 1:
                        self.bytes[stored * size + i] = raw[i]
            if (yield port.cmd.valid) and (yield port.cmd.ready):
                queue = writes if (yield port.cmd.we) else reads
                queue.append((now + (3 if queue is writes else LATENCY), (yield port.cmd.addr)))


def offer(channel, **fields):
    """Offer one transfer until it is taken."""
    for name, value in fields.items():
        yield getattr(channel, name).eq(value)
    yield channel.valid.eq(1)
    yield
    while not (yield channel.ready):
        yield
    yield channel.valid.eq(0)


class Master:
    """Bursts at random, writes and reads in turn; a read sees what was answered before."""

    def __init__(self, rng, axi, dram, bursts: int) -> None:
        self._rng, self._axi, self._bursts = rng, axi, bursts
        self._size = axi.data_width // 8
        self._want = dram.bytes.copy()
        self.cycles = 0

    def run(self):
        for _ in range(self._bursts):
            beats = int(self._rng.integers(1, 17))
            first = int(self._rng.integers(0, len(self._want) // self._size - beats + 1))
            yield from self._write(first, beats)
            yield from self._read(first, beats)

    def _write(self, first, beats):
        axi, size, identity = self._axi, self._size, int(self._rng.integers(8))
        yield axi.b.ready.eq(1)
        yield from offer(axi.aw, addr=first * size, len=beats - 1, id=identity)
        for beat in range(beats):
            raw = self._rng.integers(0, 256, size, np.uint8)
            strobe = self._rng.integers(0, 2, size).astype(bool)
            bits = int.from_bytes(np.packbits(strobe, bitorder="little").tobytes(), "little")
            data = int.from_bytes(raw.tobytes(), "little")
            yield from offer(axi.w, data=data, strb=bits, last=int(beat == beats - 1))
            at = (first + beat) * size
            self._want[at : at + size][strobe] = raw[strobe]
        while not (yield axi.b.valid):
            yield
        assert (yield axi.b.id) == identity
        yield

    def _read(self, first, beats):
        axi, size, identity = self._axi, self._size, int(self._rng.integers(8))
        yield from offer(axi.ar, addr=first * size, len=beats - 1, id=identity)
        for beat in range(beats):
            yield axi.r.ready.eq(1)
            yield
            while not (yield axi.r.valid):
                yield
            at = (first + beat) * size
            got = (yield axi.r.data).to_bytes(size, "little")
            assert got == self._want[at : at + size].tobytes(), f"beat {beat} of {beats} at {at}"
            assert (yield axi.r.last) == (beat == beats - 1)
            assert (yield axi.r.id) == identity
            if self._rng.random() < 0.3:
                yield axi.r.ready.eq(0)
                yield
        yield axi.r.ready.eq(0)
        yield


@pytest.mark.parametrize("width", [32, 64, 128])
@pytest.mark.parametrize("busy", [0, 0.6])
def test_every_byte_is_right(rng, width, busy):
    dram = Dram(rng, busy)
    axi = AXIInterface(data_width=width, address_width=32, id_width=3)
    port = DramPort(axi, dram)
    run_simulation(port, [dram.run(), Master(rng, axi, dram, 15).run()])


def test_reads_take_all_that_the_dram_gives(rng):
    dram = Dram(rng, 0)
    axi = AXIInterface(data_width=64, address_width=32, id_width=3)
    port = DramPort(axi, dram)
    beats, seen = 4 * READ_WORDS, []

    def ask():
        for burst in range(beats // 16):
            yield axi.ar.addr.eq(burst % 8 * 128)
            yield axi.ar.len.eq(15)
            yield axi.ar.valid.eq(1)
            yield
            while not (yield axi.ar.ready):
                yield
        yield axi.ar.valid.eq(0)

    def take():
        yield axi.r.ready.eq(1)
        for cycle in range(10 * beats):
            if (yield axi.r.valid):
                seen.append(cycle)
            if len(seen) == beats:
                return
            yield

    run_simulation(port, [dram.run(), ask(), take()])
    assert len(seen) == beats
    assert seen[-1] - seen[0] == beats - 1  # a beat in every cycle, once they come


def test_answers_that_are_not_taken_wait(rng):
    """More writes than the port has room for answers: the rest waits, and none is lost."""
    dram = Dram(rng, 0)
    axi = AXIInterface(data_width=64, address_width=32, id_width=3)
    port = DramPort(axi, dram)
    count, found = 2 * WRITE_WORDS + 8, []

    def offer_all(channel, values):
        for fields in values:
            yield from offer(channel, **fields)

    def take():
        for _ in range(200):
            yield
        yield axi.b.ready.eq(1)
        for _ in range(10 * count):
            yield
            if (yield axi.b.valid):
                found.append((yield axi.b.id))

    addresses = [{"addr": 8 * (i % 16), "len": 0, "id": i % 8} for i in range(count)]
    words = [{"data": i, "strb": 0xFF, "last": 1} for i in range(count)]
    run_simulation(
        port, [dram.run(), offer_all(axi.aw, addresses), offer_all(axi.w, words), take()]
    )
    assert found == [i % 8 for i in range(count)]
