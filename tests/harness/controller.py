"""A controller with its program in memory and units that take its instructions, and programs."""

import random
from dataclasses import replace

from hw.controller import Controller
from hw.isa import HEADER, MAGIC, SLOT_BYTES, Coding, Opcode, Rule, assemble, pack, unpack
from hw.isa import INSTRUCTIONS as LAYOUTS
from hw.presets import preset
from tests.harness.memory import serve
from tests.harness.streams import StreamRule, simulate, to_int

__all__ = [
    "ENCODE",
    "FINGERPRINT",
    "MATMUL",
    "ControllerBench",
    "fields",
    "plain",
    "program",
    "run",
    "slot",
]

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
    """Return the preset `test` with another width of memory words."""
    return replace(preset("test"), axi_data_width=width, banks=width // 16)


def slot(opcode, **changes):
    """Return the slot of an instruction of `GOOD` with changes."""
    return assemble(opcode, **GOOD[opcode] | changes)


def program(*slots, magic=MAGIC, fingerprint=FINGERPRINT, count=None):
    """Return a program of these slots; `count` is what its header says of their number."""
    count = len(slots) if count is None else count
    header = pack(HEADER, magic=magic, slots=count, reserved=0, fingerprint=fingerprint)
    return header + b"".join(slots)


class ControllerBench:
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
        """Run test benches, which may call `execute`."""
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
    """Return an instruction of `GOOD` with changes as (opcode, fields in plain integers)."""
    return opcode, plain(GOOD[opcode] | changes)


def plain(values):
    """Return fields by value, enumerations too."""
    return {name: int(getattr(value, "value", value)) for name, value in values.items()}


def run(raw, seed, failing=(), **settings):
    """Run one program; return its error and the instructions issued."""
    bench = ControllerBench(random.Random(seed), **settings)
    bench.failing = set(failing)
    found = []

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw))

    bench.run(check)
    return found[0], found[1]
