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
WIDTHS = [64, 128, 256]
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
    "fence": 0,
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
    return replace(TEST, axi_data_width=width, banks=width // 16)


def slot(opcode, **changes):
    return assemble(opcode, **GOOD[opcode] | changes)


def program(*slots, magic=MAGIC, fingerprint=FINGERPRINT, count=None):
    count = len(slots) if count is None else count
    header = pack(HEADER, magic=magic, slots=count, reserved=0, fingerprint=fingerprint)
    return header + b"".join(slots)


class Bench:
    """A controller with its program in memory, and units that take their time.

    A unit takes an instruction and then works on it for some cycles; a MATMUL needs its bank until
    it ends.
    """

    def __init__(self, rng, width=64, stall=0.0, params=None, longest=1):
        self.params = params or params_of(width)
        self.dut = Controller(self.params, FINGERPRINT)
        self.segments, self.issued = [], []
        self.held = False  # units make no progress
        self.failing = set()  # byte offsets of words that arrive as failed
        self.read_failures = 0  # to be told of
        self._raw = b""
        self._jobs = []  # [cycles left, bank that it needs or None]
        self._rng, self._stall, self._longest = rng, stall, longest

    def run(self, *testbenches):
        background = [self._memory, self._failures, self._units]
        simulate(self.dut, *testbenches, background=background)

    async def execute(self, ctx, raw):
        """Run a program to its end.

        Returns
        -------
        tuple
            The error; the instructions issued, as (opcode, fields); the cycles.
        """
        dut = self.dut
        self._raw = raw
        self.issued.clear()
        self.segments.clear()
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        done = cycles = 0
        while not done:
            _, _, busy, done, error, working = await ctx.tick().sample(
                dut.busy, dut.done, dut.error, dut.working
            )
            assert busy
            assert not (done and working), "it must wait until everything is done"
            cycles += 1
        _, _, busy, done = await ctx.tick().sample(dut.busy, dut.done)
        assert not busy and not done
        return error, list(self.issued), cycles

    def asked(self):
        """Return the byte offsets into the program of all that was asked for."""
        width = self.params.axi_bytes
        words = [address + i for address, count in self.segments for i in range(count)]
        return [word * width - PROGRAM + byte for word in words for byte in range(width)]

    def _read(self, address):
        start = address * self.params.axi_bytes - PROGRAM
        self.read_failures += start in self.failing
        word = self._raw[start : start + self.params.axi_bytes]
        return int.from_bytes(word or b"\xee" * self.params.axi_bytes, "little")

    async def _memory(self, ctx):
        request, words = self.dut.o_request, self.dut.i_words
        rng, stall = self._rng, self._stall
        await serve(ctx, request, words, self._read, rng, stall, stall, self.segments)

    async def _failures(self, ctx):
        """Tell of a failed word in the cycle in which it is offered, the latest there can be."""
        while True:
            ctx.set(self.dut.read_failed, self.read_failures > 0)
            self.read_failures = 0
            await ctx.tick()

    async def _units(self, ctx):
        dut = self.dut
        streams = {Opcode.ENCODE: dut.o_encode, Opcode.MATMUL: dut.o_matmul}
        rules = {opcode: StreamRule() for opcode in streams}
        bank = tokens = None
        while True:
            for stream in streams.values():
                ctx.set(stream.ready, self._rng.random() >= self._stall)
            busy = [any(needed == b for _, needed in self._jobs) for b in range(2)]
            ctx.set(dut.working, bool(self._jobs))
            ctx.set(dut.bank_busy, busy[0] | busy[1] << 1)
            sampled = [s for o in streams.values() for s in (o.valid, o.ready, o.payload)]
            _, _, at_bank, at_tokens, *values = await ctx.tick().sample(
                dut.bank, dut.tokens, *sampled
            )
            for index, opcode in enumerate(streams):
                valid, ready, payload = values[3 * index : 3 * index + 3]
                if not rules[opcode].check(valid, ready, payload):
                    continue
                raw = to_int(payload).to_bytes(SLOT_BYTES, "little")
                fields = unpack(LAYOUTS[opcode], raw)
                assert fields.pop("opcode") == opcode.value
                self.issued.append((opcode, fields))
                if opcode is Opcode.ENCODE:
                    assert not busy[at_bank], "a MATMUL still needs these thresholds"
                    assert not (fields["fence"] and self._jobs), "results are still to be written"
                    bank, tokens = at_bank, fields["tokens"]
                else:
                    assert (at_bank, at_tokens) == (bank, tokens)
                needed = bank if opcode is Opcode.MATMUL else None
                self._jobs.append([self._rng.randint(1, self._longest), needed])
            if not self.held:
                self._jobs = [[left - 1, needed] for left, needed in self._jobs if left > 1]


def fields(opcode, **changes):
    return opcode, unpack_values(GOOD[opcode] | changes)


def unpack_values(values):
    return {name: int(getattr(value, "value", value)) for name, value in values.items()}


def run(raw, seed, failing=(), **settings):
    bench = Bench(random.Random(seed), **settings)
    bench.failing = set(failing)
    found = []

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))

    bench.run(check)
    return found[0], found[1]


def random_instruction(params, rng):
    if rng.random() < 0.6:
        return Opcode.MATMUL, MATMUL | {"outputs": rng.randrange(1, 1 << 24)}
    changes = {
        "tokens": rng.randint(1, params.tokens),
        "channels": rng.randint(1, params.max_channels),
        "dead_zone": rng.getrandbits(32),
        "fence": rng.getrandbits(1),
    }
    return Opcode.ENCODE, ENCODE | changes


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall, longest", [(0.0, 1), (0.5, 1), (0.0, 60), (0.3, 30)])
def test_instructions_are_issued_in_order(width, stall, longest, seed):
    rng = random.Random(seed)
    bench = Bench(rng, width, stall, longest=longest)
    instructions = [(Opcode.ENCODE, ENCODE)]
    instructions += [random_instruction(bench.params, rng) for _ in range(15)]
    slots = [assemble(opcode, **values) for opcode, values in instructions]
    # END ends it, whatever follows.
    raw = program(*slots, slot(Opcode.END), *[b"\xff" * SLOT_BYTES] * 3)

    async def check(ctx):
        for _ in range(2):
            error, issued, _ = await bench.execute(ctx, raw)
            assert error == Error.NONE
            assert issued == [(opcode, unpack_values(values)) for opcode, values in instructions]
            # In order, each byte once, up to the END at least, and none beyond the last slot.
            asked = bench.asked()
            assert asked == list(range(len(asked)))
            assert HEADER.size // 8 + (len(slots) + 1) * SLOT_BYTES <= len(asked) <= len(raw)

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


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("part", ["header", "slot 0", "slot 1", "slot 2"])
def test_what_could_not_be_read_is_not_executed(width, stall, part, seed):
    """Every word of a part in turn; instructions before it may be executed or not."""
    raw = program(slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.MATMUL, outputs=1))
    issued = [fields(Opcode.ENCODE), fields(Opcode.MATMUL)]
    if part == "header":
        start, end, before = 0, HEADER.size // 8, 0
    else:
        before = int(part[-1])
        start = HEADER.size // 8 + before * SLOT_BYTES
        end = start + SLOT_BYTES
    for failing in range(start, end, width // 8):
        error, got = run(raw, seed, failing=[failing], width=width, stall=stall)
        assert error == Error.READ_FAILED
        assert got == issued[: len(got)]
        assert len(got) <= before


@pytest.mark.parametrize(
    "signals, error",
    [
        (["write_failed"], Error.WRITE_FAILED),
        (["read_failed"], Error.READ_FAILED),
        (["read_failed", "write_failed"], Error.READ_FAILED),
    ],
)
@pytest.mark.parametrize("instructions", [1, 3])
def test_failures_of_units_stop_the_program(signals, error, instructions, seed):
    """While an instruction is executed, the last one too: END waits for what is under way."""
    bench = Bench(random.Random(seed))
    slots = [slot(Opcode.ENCODE), slot(Opcode.MATMUL), slot(Opcode.MATMUL)]
    fenced = slot(Opcode.ENCODE, fence=1)
    raw = program(*slots[:instructions], *[fenced] * (instructions == 1), slot(Opcode.END))
    bench.held = True
    found = []

    async def fail(ctx):
        while len(bench.issued) < instructions:
            await ctx.tick()
        await ctx.tick().repeat(50)
        assert not found
        bench.read_failures += "read_failed" in signals
        ctx.set(bench.dut.write_failed, "write_failed" in signals)
        await ctx.tick()
        ctx.set(bench.dut.write_failed, 0)
        bench.held = False

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))
        assert (await bench.execute(ctx, raw))[0] == Error.NONE

    bench.run(check, fail)
    # The fenced ENCODE was under way already: it waited for the one that failed.
    assert found[0] == error
    assert len(found[1]) == instructions + (instructions == 1)


def test_the_first_error_stands(seed):
    """A read fails, and what it should have brought is no instruction."""
    raw = program(slot(Opcode.ENCODE), b"\xee" * SLOT_BYTES)
    error, _ = run(raw, seed, failing=[HEADER.size // 8 + SLOT_BYTES])
    assert error == Error.READ_FAILED


@pytest.mark.parametrize("width", WIDTHS)
def test_timing(width):
    """Memory answers in the next cycle, and the units take an instruction a cycle."""
    bench = Bench(random.Random(0), width)
    cycles = []

    async def check(ctx):
        for count in (2, 3, 10):
            raw = program(*[slot(Opcode.ENCODE)] * count, slot(Opcode.END))
            cycles.append((await bench.execute(ctx, raw))[2])

    bench.run(check)
    per_instruction = 8 * SLOT_BYTES // width + 4
    assert [c - cycles[0] for c in cycles] == [0, per_instruction, 8 * per_instruction]
