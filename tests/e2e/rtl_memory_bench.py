"""cocotb side of test_rtl_memory: traffic on the pins of the memory model, good and bad."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster

from sim.rtl.bench import memory

WORD = 8
BYTES = 1 << 16
OUTPUTS = (0x8000, 0xC000)
INCR = 1


class Pins:
    """Raw access to the channels, to do what a well-behaved master would not."""

    def __init__(self, dut):
        self.dut = dut
        for name in ("arvalid", "awvalid", "wvalid", "rready", "bready"):
            self[name].value = 0

    def __getitem__(self, name):
        return getattr(self.dut, f"m_axi_{name}")

    def drive(self, channel, **payload):
        for name, value in payload.items():
            self[f"{channel}{name}"].value = value
        self[f"{channel}valid"].value = 1

    async def send(self, channel, **payload):
        """Hold a payload until it is taken; returns after that edge."""
        self.drive(channel, **payload)
        while True:
            await RisingEdge(self.dut.clk)
            if self[f"{channel}ready"].value:
                self[f"{channel}valid"].value = 0
                return

    async def request(self, channel, addr, beats=1, ident=0, size=3, burst=INCR):
        await self.send(channel, id=ident, addr=addr, len=beats - 1, size=size, burst=burst)

    async def word(self, data=0, strb=0xFF, last=1):
        await self.send("w", data=data, strb=strb, last=last)

    async def cycles(self, count):
        await ClockCycles(self.dut.clk, count)


async def crossing_read(pins):
    await pins.request("ar", 0x0FF8, beats=2)


async def crossing_write(pins):
    await pins.request("aw", 0x8FF0, beats=3)


async def beyond(pins):
    await pins.request("ar", BYTES, beats=1)


async def fixed_burst(pins):
    await pins.request("ar", 0, burst=0)


async def narrow(pins):
    await pins.request("ar", 0, size=2)


async def unaligned(pins):
    await pins.request("ar", 4)


async def early_last(pins):
    await pins.request("aw", 0x8000, beats=2)
    await pins.word(last=1)


async def late_last(pins):
    await pins.word(last=0)
    await pins.request("aw", 0x8000, beats=1)


async def _fill(pins, channel):
    """Send until the memory takes no more."""
    for i in range(64 if channel == "w" else 32):
        if channel == "w":
            await pins.word(last=0)
        else:
            await pins.request(channel, 0x8000 + 64 * i, ident=i % 4)
    await pins.cycles(2)
    assert not pins[f"{channel}ready"].value


async def dropped_ar(pins):
    await _fill(pins, "ar")
    pins.drive("ar", addr=0)
    await pins.cycles(2)
    pins["arvalid"].value = 0


async def dropped_aw(pins):
    await _fill(pins, "aw")
    pins.drive("aw", addr=0x8000)
    await pins.cycles(2)
    pins["awvalid"].value = 0


async def dropped_w(pins):
    await _fill(pins, "w")
    pins.drive("w", data=1)
    await pins.cycles(2)
    pins["wvalid"].value = 0


async def changed_ar(pins):
    await _fill(pins, "ar")
    pins.drive("ar", addr=0)
    await pins.cycles(2)
    pins["araddr"].value = 8


async def changed_aw(pins):
    await _fill(pins, "aw")
    pins.drive("aw", len=0)
    await pins.cycles(2)
    pins["awlen"].value = 1


async def changed_w(pins):
    await _fill(pins, "w")
    pins.drive("w", strb=0xFF)
    await pins.cycles(2)
    pins["wstrb"].value = 0x7F


async def stray_write(pins):
    pins["bready"].value = 1
    await pins.request("aw", 0x8000 - 8)
    await pins.word(strb=0x80)


async def read_under_write(pins):
    await pins.request("aw", 0x8000, beats=2)
    await pins.request("ar", 0x8008)


async def write_under_read(pins):
    await pins.request("ar", 0x8000, beats=4)
    await pins.request("aw", 0x8018)


async def two_writes(pins):
    await pins.request("aw", 0x8000, ident=0)
    await pins.request("aw", 0x8000, ident=0)  # ordered, so allowed
    await pins.request("aw", 0x8000, ident=1)


BREACHES = {
    scenario.__name__: scenario
    for scenario in (
        crossing_read,
        crossing_write,
        beyond,
        fixed_burst,
        narrow,
        unaligned,
        early_last,
        late_last,
        dropped_ar,
        dropped_aw,
        dropped_w,
        changed_ar,
        changed_aw,
        changed_w,
        stray_write,
        read_under_write,
        write_under_read,
        two_writes,
    )
}


def settings(**changes):
    return {
        "memory_bytes": BYTES,
        "word_bytes": WORD,
        "latency": 20,
        "stalls": 0.0,
        "seed": int(os.environ["SEED"]),
        "writable": [OUTPUTS],
        "failing_reads": [],
        "failing_writes": [],
    } | changes


async def start(dut, **changes):
    """Put a memory of known bytes on the pins and reset it; returns the bytes."""
    path = Path("image")
    content = random.Random(int(os.environ["SEED"])).randbytes(BYTES)
    path.write_bytes(content)
    memory.configure(str(path), **settings(**changes))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return bytearray(content)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def everything(dut):
    """Every breach, then good traffic; what came of it goes into a file."""
    Clock(dut.clk, 10, "ns", impl="gpi").start()
    found = {}
    for name, scenario in BREACHES.items():
        pins = Pins(dut)
        await start(dut, latency=1000 if name.startswith(("dropped", "changed")) else 20)
        assert memory.fault() == ""
        await scenario(pins)
        await pins.cycles(40)
        assert bool(dut.fault.value) == bool(memory.fault())
        found[name] = memory.fault()
    found["timing"] = {latency: await timing(dut, latency) for latency in (1, 2, 60)}
    found["interleaved"] = await interleaved(dut)
    found["data_first"] = [await data_first(dut, wanted) for wanted in (False, True)]
    master = AxiMaster(AxiBus.from_prefix(dut, "m_axi"), dut.clk, max_burst_len=16)
    for stalls in (0.0, 0.5):
        await random_traffic(dut, master, stalls)
    found["responses"] = await responses(dut, master)
    Path("found.json").write_text(json.dumps(found))


async def timing(dut, latency):
    """Return cycles to the first word of eight bursts back to back, and to the last."""
    pins = Pins(dut)
    await start(dut, latency=latency)
    pins["rready"].value = 1
    await pins.cycles(2)
    sent = [0]

    async def requests():
        for i in range(8):
            await pins.request("ar", 0x400 * i, beats=16, ident=i % 4)
            sent[0] += 1

    cocotb.start_soon(requests())
    first = None
    words = cycle = 0
    while words < 128:
        await RisingEdge(dut.clk)
        if pins["rvalid"].value:
            first = cycle if first is None else first
            words += 1
        cycle += bool(sent[0]) or bool(pins["arvalid"].value)
    return [first, cycle - 1]


async def random_traffic(dut, master, stalls):
    """Read and write through cocotbext-axi's master and compare with a model of bytes."""
    choice = random.Random(int(os.environ["SEED"]) + 1)
    model = await start(dut, stalls=stalls)
    first, end = OUTPUTS
    for _ in range(60):
        address = choice.randrange(first, end - 300, WORD)
        data = choice.randbytes(choice.randrange(1, 300))
        # The last word's strobes leave the bytes behind it alone.
        await master.write(address, data)
        model[address : address + len(data)] = data
        assert memory.fault() == ""
        place = choice.randrange(0, BYTES - 300, WORD)
        assert (await master.read(place, 256)).data == model[place : place + 256]
    assert memory.fault() == ""
    assert Path("image").read_bytes() == model


async def responses(dut, master):
    """Return the responses of reads and writes to failing and to good addresses."""
    before = await start(dut, failing_reads=[(0x108, 0x110)], failing_writes=[(0x8100, 0x8108)])
    reads = [int((await master.read(place, 8)).resp) for place in (0x100, 0x108, 0x110)]
    writes = [int((await master.write(p, b"spikespk")).resp) for p in (0x80F8, 0x8100, 0x8108)]
    after = Path("image").read_bytes()
    kept = [after[p : p + 8] == before[p : p + 8] for p in (0x80F8, 0x8100, 0x8108)]
    return {"reads": reads, "writes": writes, "kept": kept}


async def data_first(dut, wanted):
    """Return how many addresses are taken: before data, with a burst's data, after them."""
    pins = Pins(dut)
    await start(dut, data_first=wanted)
    pins["bready"].value = 1
    taken = [0]

    async def requests():
        for i in range(3):
            await pins.request("aw", 0x8000 + 0x100 * i, beats=2)
            taken[0] += 1

    task = cocotb.start_soon(requests())
    await pins.cycles(20)
    counts = [taken[0]]
    for last in (0, 1):
        await pins.word(last=last)
        await pins.cycles(20)
        counts.append(taken[0])
    task.cancel()
    return counts


async def interleaved(dut):
    """Return the IDs of the words of four bursts under stalls, in the order of arrival."""
    pins = Pins(dut)
    content = await start(dut, stalls=0.3)
    pins["rready"].value = 1
    for ident in range(4):
        await pins.request("ar", 0x400 * ident, beats=16, ident=ident)
    order, done = [], [0] * 4
    while len(order) < 64:
        await RisingEdge(dut.clk)
        if pins["rvalid"].value:
            ident = int(pins["rid"].value)
            at = 0x400 * ident + WORD * done[ident]
            assert int(pins["rdata"].value).to_bytes(WORD, "little") == content[at : at + WORD]
            done[ident] += 1
            assert bool(pins["rlast"].value) == (done[ident] == 16)
            order.append(ident)
    return order
