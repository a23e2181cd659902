"""The registers: access as `regs` says, counters, interrupt, whatever the bus's pace."""

import gc
import random

import pytest

from hw.contract.presets import preset
from hw.contract.regs import (
    COUNTERS,
    REGISTERS,
    VERSION,
    Error,
    FaultKind,
    capabilities,
    offset,
)
from hw.control.csr import Csr
from tests.harness.axi_lite import AxiLite
from tests.harness.streams import simulate

PARAMS = preset("test")
FINGERPRINT = random.Random(1).getrandbits(256)
WIDTHS = dict.fromkeys(COUNTERS, 40)  # so wide that 32 bits overflow within a few cycles
DELAYS = [0.0, 0.6]
SETTINGS = ["FIRST_POSITION", "PROMPT_END", "END_POSITION", "STOP_TOKEN", "WATCHDOG"]


class Bench:
    """A register block, its bus, and how often it gave a start."""

    def __init__(self, seed, delay=0.0):
        self.rng = random.Random(seed)
        self.dut = Csr(PARAMS, FINGERPRINT, WIDTHS)
        self.bus = AxiLite(self.dut, self.rng, delay)
        self.starts = self.aborts = 0

    def run(self, *testbenches):
        simulate(self.dut, *testbenches, background=[self._watch])

    async def write(self, ctx, name, value, strobe=0xF):
        await self.bus.write(ctx, offset(name), value, strobe)

    async def read(self, ctx, name):
        return await self.bus.read(ctx, offset(name))

    async def finish(self, ctx, error=Error.NONE):
        """Be the controller in the cycle in which a program ends."""
        ctx.set(self.dut.done, 1)
        ctx.set(self.dut.error, error)
        await ctx.tick()
        ctx.set(self.dut.done, 0)
        ctx.set(self.dut.error, Error.NONE)

    async def _watch(self, ctx):
        async for _, _, start, abort in ctx.tick().sample(self.dut.start, self.dut.abort):
            self.starts += start
            self.aborts += abort


@pytest.mark.parametrize("delay", DELAYS)
def test_the_registers_after_reset(delay, seed):
    bench = Bench(seed, delay)

    constants = {f"ID{i}": FINGERPRINT >> 32 * i & 0xFFFFFFFF for i in range(8)}
    constants["VERSION"] = VERSION
    for name, value in capabilities(PARAMS).items():
        constants[f"CAPABILITY_{name.upper()}"] = value

    async def check(ctx):
        for name in REGISTERS:
            assert await bench.read(ctx, name) == constants.get(name, 0), name

    bench.run(check)


@pytest.mark.parametrize("delay", DELAYS)
def test_plain_registers_take_the_bytes_of_the_strobe(delay, seed):
    bench = Bench(seed, delay)

    async def check(ctx):
        held = dict.fromkeys(["PROGRAM_LOW", "PROGRAM_HIGH", *SETTINGS], 0)
        for _ in range(100):
            name = bench.rng.choice(list(held))
            value, strobe = bench.rng.getrandbits(32), bench.rng.getrandbits(4)
            await bench.write(ctx, name, value, strobe)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            held[name] = held[name] & ~mask | value & mask
            assert {name: await bench.read(ctx, name) for name in held} == held
            assert ctx.get(bench.dut.program) == held["PROGRAM_HIGH"] << 32 | held["PROGRAM_LOW"]
            for name in SETTINGS:
                assert ctx.get(getattr(bench.dut, name.lower())) == held[name]

    bench.run(check)
    assert bench.starts == 0


def test_the_position_is_the_controllers(seed):
    bench = Bench(seed)

    async def check(ctx):
        for position in (0, 1, 0xFFFFFFFF, 0x12345678):
            ctx.set(bench.dut.position, position)
            for busy in (0, 1):
                ctx.set(bench.dut.busy, busy)
                assert await bench.read(ctx, "POSITION") == position

    bench.run(check)


def test_a_start_keeps_the_settings(seed):
    bench = Bench(seed)

    async def check(ctx):
        for index, name in enumerate(SETTINGS):
            await bench.write(ctx, name, 100 + index)
        await bench.write(ctx, "CONTROL", 1)
        await bench.finish(ctx)
        found = [await bench.read(ctx, name) for name in SETTINGS]
        assert found == [100, 101, 102, 103, 104]

    bench.run(check)


def test_writes_to_read_only_and_absent_registers_change_nothing(seed):
    bench = Bench(seed)
    last = max(register.offset for register in REGISTERS.values())
    read_only = [r.offset for r in REGISTERS.values() if r.access == "ro"]
    absent = [last + 4, 0x1FC]

    async def check(ctx):
        before = {name: await bench.read(ctx, name) for name in REGISTERS}
        for address in read_only + absent:
            await bench.bus.write(ctx, address, 0xFFFFFFFF)
        assert {name: await bench.read(ctx, name) for name in REGISTERS} == before
        for address in absent:
            assert await bench.bus.read(ctx, address) == 0

    bench.run(check)
    assert bench.starts == 0


@pytest.mark.parametrize("delay", DELAYS)
def test_start_is_one_pulse_and_ignored_while_busy(delay, seed):
    bench = Bench(seed, delay)

    async def check(ctx):
        await bench.write(ctx, "CONTROL", 0xFFFFFFFC)
        await bench.write(ctx, "CONTROL", 1, 0b1110)
        assert bench.starts == 0
        await bench.write(ctx, "CONTROL", 1, 0b0001)
        assert bench.starts == 1
        ctx.set(bench.dut.busy, 1)
        await bench.write(ctx, "CONTROL", 1)
        assert await bench.read(ctx, "STATUS") == 0b001
        assert bench.starts == 1
        ctx.set(bench.dut.busy, 0)
        await bench.write(ctx, "CONTROL", 1)
        assert bench.starts == 2

    bench.run(check)


@pytest.mark.parametrize("delay", DELAYS)
def test_an_abort_is_one_pulse_at_any_time_and_starts_nothing(delay, seed):
    bench = Bench(seed, delay)

    async def check(ctx):
        await bench.write(ctx, "CONTROL", 2, 0b1110)
        assert bench.aborts == 0
        for aborts, busy in enumerate((0, 1, 1, 0), start=1):
            ctx.set(bench.dut.busy, busy)
            await bench.write(ctx, "CONTROL", bench.rng.choice([2, 3]), 0b0001)
            assert bench.aborts == aborts

    bench.run(check)
    assert bench.starts == 0


def test_the_first_fault_is_told(seed):
    bench = Bench(seed)
    dut = bench.dut

    async def check(ctx):
        for kind in FaultKind:
            client = bench.rng.getrandbits(8)
            address = bench.rng.getrandbits(PARAMS.axi_addr_width)
            ctx.set(dut.fault_kind, kind)
            ctx.set(dut.fault_client, client)
            ctx.set(dut.fault_address, address)
            assert await bench.read(ctx, "FAULT_ID") == kind.value << 8 | client
            assert await bench.read(ctx, "FAULT_ADDRESS_LOW") == address & 0xFFFFFFFF
            assert await bench.read(ctx, "FAULT_ADDRESS_HIGH") == address >> 32

    bench.run(check)


def test_the_position_stays_when_the_controller_is_reset(seed):
    bench = Bench(seed)

    async def check(ctx):
        dut = bench.dut
        ctx.set(dut.position, 7)
        await ctx.tick()
        ctx.set(dut.ending, 1)
        await ctx.tick()
        ctx.set(dut.position, 0)
        assert await bench.read(ctx, "POSITION") == 7
        ctx.set(dut.ending, 0)
        assert await bench.read(ctx, "POSITION") == 7
        assert await bench.read(ctx, "POSITION") == 7, "as long as nothing starts"
        await bench.write(ctx, "CONTROL", 1)
        assert await bench.read(ctx, "POSITION") == 0, "the next start's"

    bench.run(check)


def test_an_end_that_waits_for_memory_is_told(seed):
    bench = Bench(seed)

    async def check(ctx):
        ctx.set(bench.dut.busy, 1)
        ctx.set(bench.dut.ending, 1)
        assert await bench.read(ctx, "STATUS") == 0b1001

    bench.run(check)


@pytest.mark.parametrize("error", list(Error))
def test_status_and_error_stand_until_the_next_start(error, seed):
    bench = Bench(seed, 0.3)

    async def check(ctx):
        await bench.finish(ctx, error)
        for _ in range(2):
            assert await bench.read(ctx, "STATUS") == (0b010 if error is Error.NONE else 0b110)
            assert await bench.read(ctx, "ERROR") == error.value
        await bench.write(ctx, "CONTROL", 1)
        assert await bench.read(ctx, "STATUS") == 0
        assert await bench.read(ctx, "ERROR") == 0

    bench.run(check)


def test_the_interrupt(seed):
    bench = Bench(seed)

    async def check(ctx):
        dut = bench.dut
        await bench.finish(ctx)
        assert await bench.read(ctx, "IRQ_STATUS") == 1
        assert not ctx.get(dut.irq), "it is not enabled"
        await bench.write(ctx, "IRQ_ENABLE", 1, 0b1110)
        assert await bench.read(ctx, "IRQ_ENABLE") == 0
        await bench.write(ctx, "IRQ_ENABLE", 0xFFFFFFFF)
        assert await bench.read(ctx, "IRQ_ENABLE") == 1
        assert ctx.get(dut.irq)
        # Only a one in bit 0 clears, and a start does not.
        await bench.write(ctx, "IRQ_STATUS", 0xFFFFFFFE)
        await bench.write(ctx, "IRQ_STATUS", 1, 0b1110)
        await bench.write(ctx, "CONTROL", 1)
        assert ctx.get(dut.irq)
        await bench.write(ctx, "IRQ_STATUS", 1)
        assert await bench.read(ctx, "IRQ_STATUS") == 0
        assert not ctx.get(dut.irq)
        await bench.finish(ctx, Error.BAD_MAGIC)
        await ctx.tick()
        assert ctx.get(dut.irq), "a program that failed ended too"
        await bench.write(ctx, "IRQ_ENABLE", 0)
        assert not ctx.get(dut.irq)

    bench.run(check)


def test_an_interrupt_that_meets_its_clearing_is_not_lost(seed):
    bench = Bench(seed)

    async def check(ctx):
        ctx.set(bench.dut.done, 1)  # in every cycle of the writing
        await bench.write(ctx, "IRQ_STATUS", 1)
        ctx.set(bench.dut.done, 0)
        assert await bench.read(ctx, "IRQ_STATUS") == 1

    bench.run(check)


@pytest.mark.parametrize("delay", DELAYS)
def test_counters_read_as_one_value_of_64_bits(delay, seed):
    """While they count, LOW and HIGH are of one cycle; when they stand still, they are exact."""
    bench = Bench(seed, delay)
    dut = bench.dut
    totals = dict.fromkeys(COUNTERS, 0)
    history = {name: [] for name in COUNTERS}
    counting, finished = [1], []

    async def count(ctx):
        rng = random.Random(seed)
        while not finished:
            adds = {name: rng.getrandbits(40) * counting[0] for name in COUNTERS}
            for name, value in adds.items():
                ctx.set(getattr(dut, f"count_{name}"), value)
                history[name].append(totals[name])
            _, _, start = await ctx.tick().sample(dut.start)
            for name, value in adds.items():
                totals[name] = 0 if start else totals[name] + value

    async def pair(ctx, name):
        low = await bench.read(ctx, f"{name.upper()}_LOW")
        return await bench.read(ctx, f"{name.upper()}_HIGH") << 32 | low

    async def check(ctx):
        await bench.write(ctx, "CONTROL", 1)
        for name in COUNTERS:
            first = len(history[name]) - 1
            value = await pair(ctx, name)
            assert value in history[name][first:], name
        counting[0] = 0
        await ctx.tick().repeat(2)
        assert {name: await pair(ctx, name) for name in COUNTERS} == totals
        assert min(totals.values()) > 1 << 32
        await bench.write(ctx, "CONTROL", 1)
        assert set([await pair(ctx, name) for name in COUNTERS]) == {0}
        finished.append(1)

    bench.run(count, check)


def test_reads_and_writes_do_not_disturb_each_other(seed):
    bench = Bench(seed, 0.5)
    other = AxiLite(bench.dut, bench.rng, 0.5)

    async def write(ctx):
        for value in range(40):
            await bench.write(ctx, "PROGRAM_LOW", value)

    async def read(ctx):
        for index in range(40):
            expected = FINGERPRINT >> 32 * (index % 8) & 0xFFFFFFFF
            assert await other.read(ctx, offset(f"ID{index % 8}")) == expected

    bench.run(write, read)


def test_a_write_and_a_read_a_cycle(seed):
    bench = Bench(seed)
    dut = bench.dut

    async def check(ctx):
        for signal in (dut.awvalid, dut.wvalid, dut.bready, dut.arvalid, dut.rready):
            ctx.set(signal, 1)
        for cycle in range(20):
            assert ctx.get(dut.awready & dut.wready & dut.arready)
            assert ctx.get(dut.bvalid & dut.rvalid) == (cycle > 0)
            await ctx.tick()

    bench.run(check)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_every_counter_must_have_its_increment():
    with pytest.raises(ValueError) as error:
        Csr(PARAMS, 0, {"cycles": 1})
    assert str(error.value) == f"increments must be of {', '.join(COUNTERS)}"
    del error
    gc.collect()  # while the warning of the half-made component is filtered
