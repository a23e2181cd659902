"""The controller: programs good and bad, and what stops them."""

import random
from dataclasses import replace

import pytest

from hw.controller import Controller
from hw.isa import HEADER, MAGIC, SLOT_BYTES, Coding, Opcode, Rule, assemble, pack, unpack
from hw.isa import INSTRUCTIONS as LAYOUTS
from hw.presets import preset
from hw.regs import Error
from tests.harness.memory import serve
from tests.harness.streams import StreamRule, simulate, to_int

TEST = preset("test")
WIDTHS = [32, 64, 128, 256, 512]
FINGERPRINT = random.Random(7).getrandbits(256)
PROGRAM = 0x12_3456_7000

ENCODE = {
    "rule": Rule.MEAN,
    "tokens": 1,
    "channels": 5,
    "max_count": 3,
    "multiplier": 256,
    "divisor": 9,
    "peak": 1 << 31,
    "dead_zone": 12345,
    "source": 0xAB_CDEF_0000,
    "source_stride": 0x7000,
}
MATMUL = {
    "coding": Coding.CSD,
    "weight_width": 4,
    "has_bias": 1,
    "outputs": 7,
    "weights": 0x98_7654_3000,
    "channel_words": 0x11_2233_4000,
    "destination": 0x01_0203_4000,
    "destination_stride": 0xFF_F000,
}
GOOD = {Opcode.ENCODE: ENCODE, Opcode.MATMUL: MATMUL, Opcode.END: {}}


def params_of(width):
    return replace(TEST, axi_data_width=width, banks=max(4, width // 16), scan_width=16)


def slot(opcode, **changes):
    return assemble(opcode, **GOOD[opcode] | changes)


def program(*slots, magic=MAGIC, fingerprint=FINGERPRINT, count=None):
    count = len(slots) if count is None else count
    header = pack(HEADER, magic=magic, slots=count, reserved=0, fingerprint=fingerprint)
    return header + b"".join(slots)


class Bench:
    """A controller with its program in memory, and units that take their time."""

    def __init__(self, rng, width=64, stall=0.0, params=None):
        self.params = params or params_of(width)
        self.dut = Controller(self.params, FINGERPRINT)
        self.segments, self.issued = [], []
        self.raw = b""
        self._rng, self._stall = rng, stall

    def run(self, *testbenches):
        simulate(self.dut, *testbenches, background=[self._memory, self._units])

    async def execute(self, ctx, raw):
        """Run a program to its end.

        Returns
        -------
        tuple
            The error; the instructions issued, as (opcode, fields); the cycles.
        """
        dut = self.dut
        self.raw = raw + bytes(-len(raw) % self.params.axi_bytes)
        self.issued.clear()
        self.segments.clear()
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        done = cycles = 0
        while not done:
            _, _, busy, done, error = await ctx.tick().sample(dut.busy, dut.done, dut.error)
            assert busy
            cycles += 1
        _, _, busy, done = await ctx.tick().sample(dut.busy, dut.done)
        assert not busy and not done
        return error, list(self.issued), cycles

    def _read(self, address):
        start = address * self.params.axi_bytes - PROGRAM
        return int.from_bytes(self.raw[start : start + self.params.axi_bytes], "little")

    async def _memory(self, ctx):
        request, words = self.dut.o_request, self.dut.i_words
        rng, stall = self._rng, self._stall
        await serve(ctx, request, words, self._read, rng, stall, stall, self.segments)

    async def _units(self, ctx):
        dut = self.dut
        streams = {Opcode.ENCODE: dut.o_encode, Opcode.MATMUL: dut.o_matmul}
        rules = {opcode: StreamRule() for opcode in streams}
        while True:
            for stream in streams.values():
                ctx.set(stream.ready, self._rng.random() >= self._stall)
            sampled = [s for o in streams.values() for s in (o.valid, o.ready, o.payload)]
            _, _, *values = await ctx.tick().sample(*sampled)
            for index, opcode in enumerate(streams):
                valid, ready, payload = values[3 * index : 3 * index + 3]
                if rules[opcode].check(valid, ready, payload):
                    raw = to_int(payload).to_bytes(SLOT_BYTES, "little")
                    fields = unpack(LAYOUTS[opcode], raw)
                    assert fields.pop("opcode") == opcode.value
                    self.issued.append((opcode, fields))


def fields(opcode, **changes):
    return opcode, unpack_values(GOOD[opcode] | changes)


def unpack_values(values):
    return {name: int(getattr(value, "value", value)) for name, value in values.items()}


def run(raw, seed, **settings):
    bench = Bench(random.Random(seed), **settings)
    found = []

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))

    bench.run(check)
    return found[0], found[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_instructions_are_issued_in_order(width, stall, seed):
    rng = random.Random(seed)
    bench = Bench(rng, width, stall)
    p = bench.params

    def random_instruction():
        if rng.random() < 0.5:
            return Opcode.MATMUL, MATMUL | {"outputs": rng.randrange(1, 1 << 24)}
        changes = {
            "tokens": rng.randint(1, p.tokens),
            "channels": rng.randint(1, p.max_channels),
            "dead_zone": rng.getrandbits(32),
        }
        return Opcode.ENCODE, ENCODE | changes

    instructions = [(Opcode.ENCODE, ENCODE)] + [random_instruction() for _ in range(9)]
    slots = [assemble(opcode, **values) for opcode, values in instructions]

    async def check(ctx):
        for _ in range(2):  # END ends it, whatever follows
            ended = program(*slots, slot(Opcode.END), b"\xff" * SLOT_BYTES)
            error, issued, _ = await bench.execute(ctx, ended)
            assert error == Error.NONE
            assert issued == [(opcode, unpack_values(values)) for opcode, values in instructions]
            last = [values for opcode, values in instructions if opcode is Opcode.ENCODE][-1]
            assert ctx.get(bench.dut.tokens) == last["tokens"]
            assert ctx.get(bench.dut.channels) == last["channels"]
            asked = {a + i for a, words in bench.segments for i in range(words)}
            length = HEADER.size // 8 + SLOT_BYTES * (len(slots) + 1)
            first = PROGRAM // p.axi_bytes
            assert asked == set(range(first, first + -(-length // p.axi_bytes)))

    bench.run(check)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"magic": MAGIC ^ 1}, Error.BAD_MAGIC),
        ({"magic": MAGIC ^ 1 << 31}, Error.BAD_MAGIC),
        ({"fingerprint": FINGERPRINT ^ 1}, Error.BAD_FINGERPRINT),
        ({"fingerprint": FINGERPRINT ^ 1 << 255}, Error.BAD_FINGERPRINT),
        ({"magic": 0, "fingerprint": 0}, Error.BAD_MAGIC),
        ({"count": 0}, Error.BAD_INSTRUCTION),
    ],
)
def test_a_bad_header_runs_nothing(changes, error, seed):
    raw = program(slot(Opcode.ENCODE), slot(Opcode.END), **changes)
    assert run(raw, seed) == (error, [])


NARROW = replace(TEST, weight_widths=(4,), max_count=100, tokens=5)
OUT_OF_RANGE = [
    (Opcode.ENCODE, TEST, "rule", 3),
    (Opcode.ENCODE, TEST, "tokens", 0),
    (Opcode.ENCODE, TEST, "tokens", TEST.tokens + 1),
    (Opcode.ENCODE, NARROW, "tokens", 6),
    (Opcode.ENCODE, TEST, "channels", 0),
    (Opcode.ENCODE, TEST, "channels", TEST.max_channels + 1),
    (Opcode.ENCODE, TEST, "channels", (1 << 16) - 1),
    (Opcode.ENCODE, TEST, "max_count", 0),
    (Opcode.ENCODE, NARROW, "max_count", 101),
    (Opcode.ENCODE, TEST, "divisor", 0),
    (Opcode.MATMUL, TEST, "coding", 3),
    *((Opcode.MATMUL, TEST, "weight_width", w) for w in range(16) if w not in (2, 4, 8)),
    (Opcode.MATMUL, NARROW, "weight_width", 8),
    (Opcode.MATMUL, NARROW, "weight_width", 2),
    (Opcode.MATMUL, TEST, "outputs", 0),
    *(
        (Opcode.ENCODE, TEST, name, 1 << bit)
        for name in ("source", "source_stride")
        for bit in range(3)
    ),
    *(
        (Opcode.MATMUL, TEST, name, 1 << bit)
        for name in ("weights", "channel_words", "destination", "destination_stride")
        for bit in range(3)
    ),
]


@pytest.mark.parametrize("opcode, params, name, value", OUT_OF_RANGE)
def test_a_field_out_of_range_stops_the_program_before_it(opcode, params, name, value, seed):
    good = [slot(Opcode.ENCODE), slot(Opcode.MATMUL)]
    raw = program(*good, slot(opcode, **{name: value}), slot(Opcode.END))
    issued = [fields(Opcode.ENCODE), fields(Opcode.MATMUL)]
    assert run(raw, seed, params=params) == (Error.BAD_INSTRUCTION, issued)


@pytest.mark.parametrize(
    "opcode, changes",
    [
        (Opcode.ENCODE, {"rule": 2, "tokens": TEST.tokens, "channels": TEST.max_channels}),
        (Opcode.ENCODE, {"rule": 0, "tokens": 1, "channels": 1, "max_count": 1, "divisor": 1}),
        (Opcode.ENCODE, {"max_count": 127, "divisor": (1 << 24) - 1, "multiplier": 0}),
        (Opcode.ENCODE, {"source": 0, "source_stride": 8}),
        (Opcode.MATMUL, {"coding": 0, "weight_width": 8, "outputs": 1}),
        (Opcode.MATMUL, {"coding": 1, "weight_width": 2, "outputs": (1 << 24) - 1}),
        (Opcode.MATMUL, {"weights": 8, "channel_words": 0, "destination": (1 << 40) - 8}),
    ],
)
def test_the_ends_of_every_range_are_good(opcode, changes, seed):
    raw = program(slot(Opcode.ENCODE), slot(opcode, **changes), slot(Opcode.END))
    issued = [fields(Opcode.ENCODE), fields(opcode, **changes)]
    assert run(raw, seed) == (Error.NONE, issued)


@pytest.mark.parametrize("opcode", [0, 4, 255, Opcode.END.value | 0x80])
def test_an_unknown_opcode(opcode, seed):
    raw = program(slot(Opcode.ENCODE), bytes([opcode]).ljust(SLOT_BYTES, b"\0"), slot(Opcode.END))
    assert run(raw, seed) == (Error.BAD_INSTRUCTION, [fields(Opcode.ENCODE)])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_program_without_end(width, seed):
    """What follows the last slot in memory is not read as an instruction."""
    raw = program(slot(Opcode.ENCODE), slot(Opcode.ENCODE), slot(Opcode.END), count=2)
    expected = (Error.BAD_INSTRUCTION, [fields(Opcode.ENCODE)] * 2)
    assert run(raw, seed, width=width) == expected


def test_matmul_needs_an_encode_of_its_own_program(seed):
    bench = Bench(random.Random(seed))
    good = program(slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.END))
    bad = program(slot(Opcode.MATMUL), slot(Opcode.END))

    async def check(ctx):
        assert (await bench.execute(ctx, good))[0] == Error.NONE
        assert (await bench.execute(ctx, bad))[:2] == (Error.BAD_INSTRUCTION, [])

    bench.run(check)


def test_a_good_program_runs_after_each_error(seed):
    bench = Bench(random.Random(seed), stall=0.3)
    good = program(slot(Opcode.ENCODE), slot(Opcode.END))
    bad = [
        program(slot(Opcode.END), magic=0),
        program(slot(Opcode.END), fingerprint=0),
        program(slot(Opcode.ENCODE, divisor=0)),
        program(slot(Opcode.ENCODE)),
    ]

    async def check(ctx):
        for raw in bad:
            assert (await bench.execute(ctx, raw))[0] != Error.NONE
            expected = (Error.NONE, [fields(Opcode.ENCODE)])
            assert (await bench.execute(ctx, good))[:2] == expected

    bench.run(check)


@pytest.mark.parametrize(
    "signals, error",
    [
        (["read_failed"], Error.READ_FAILED),
        (["write_failed"], Error.WRITE_FAILED),
        (["read_failed", "write_failed"], Error.READ_FAILED),
    ],
)
@pytest.mark.parametrize("when", ["header", "slot", "execution", "writing"])
def test_memory_failures_stop_the_program(signals, error, when, seed):
    """The failure is one cycle long; the instruction under way ends, no other begins."""
    bench = Bench(random.Random(seed), stall=0.5)
    dut = bench.dut
    raw = program(slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.END))
    moments = {  # which segment has been asked for, and which unit runs
        "header": (1, None),
        "slot": (2, None),
        "execution": (2, dut.o_encode.valid),
        "writing": (4, None),
    }
    segments, unit = moments[when]
    found = []

    async def fail(ctx):
        ctx.set(dut.writing, when == "writing")
        while len(bench.segments) < segments or (unit is not None and not ctx.get(unit)):
            await ctx.tick()
        if when == "writing":
            await ctx.tick().repeat(50)
            assert not found, "it must wait until everything is written"
        for name in signals:
            ctx.set(getattr(dut, name), 1)
        await ctx.tick()
        for name in signals:
            ctx.set(getattr(dut, name), 0)
        ctx.set(dut.writing, 0)

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))
        error_again, issued, _ = await bench.execute(ctx, raw)
        assert (error_again, len(issued)) == (Error.NONE, 2)

    bench.run(check, fail)
    count = {"header": 0, "slot": 0, "execution": 1, "writing": 2}[when]
    assert found[0] == error
    assert [opcode for opcode, _ in found[1]] == [Opcode.ENCODE, Opcode.MATMUL][:count]


def test_the_first_error_stands(seed):
    """A read fails, and what it should have brought is no instruction."""
    bench = Bench(random.Random(seed))

    async def fail(ctx):
        while len(bench.segments) < 2:
            await ctx.tick()
        ctx.set(bench.dut.read_failed, 1)
        await ctx.tick()
        ctx.set(bench.dut.read_failed, 0)

    async def check(ctx):
        raw = program(b"\xee" * SLOT_BYTES)
        assert (await bench.execute(ctx, raw))[:2] == (Error.READ_FAILED, [])

    bench.run(check, fail)


@pytest.mark.parametrize("width", WIDTHS)
def test_timing(width):
    """Memory answers in the next cycle, and so do the units."""
    bench = Bench(random.Random(0), width)
    cycles = []

    async def check(ctx):
        for count in (2, 3, 10):
            raw = program(*[slot(Opcode.ENCODE)] * count, slot(Opcode.END))
            cycles.append((await bench.execute(ctx, raw))[2])

    bench.run(check)
    per_instruction = max(1, 8 * SLOT_BYTES // width) + 3 + 1
    assert [c - cycles[0] for c in cycles] == [0, per_instruction, 8 * per_instruction]
