"""A controller with its program in memory, and units that take its instructions."""

import random
from dataclasses import replace

from hw.contract.isa import INSTRUCTIONS as LAYOUTS
from hw.contract.isa import SLOT_BYTES, Opcode, unpack
from hw.contract.presets import preset
from hw.control.controller import Controller
from tests.harness.memory import serve
from tests.harness.programs import FINGERPRINT, HANDED_OVER, PROGRAM, RECORDS, TOKENS
from tests.harness.streams import StreamRule, simulate, to_int

__all__ = ["TEST", "WIDTHS", "ControllerBench", "params_of", "run"]

TEST = preset("test")
WIDTHS = [64, 128, 256]
"""Of memory words: those with which the controller is tested."""


def params_of(width):
    """Return the preset `test` with another width of memory words."""
    return replace(preset("test"), axi_data_width=width, banks=width // 16)


class ControllerBench:
    """A controller with its program in memory, and units that take their time.

    A unit takes an instruction and then works on it for some cycles; a MATMUL needs its bank until
    it ends.
    """

    def __init__(self, rng, width=64, stall=0.0, params=None, longest=1):
        self.params = params or params_of(width)
        self.dut = Controller(self.params, FINGERPRINT)
        self.segments, self.record_segments = [], []  # asked for
        self.issued, self.positions = [], []
        self.held = False  # units make no progress
        self.failing = set()  # byte addresses of words that arrive as failed
        self.read_failures = 0  # to be told of
        self.position = None  # at the end
        self._memory = {}  # pieces, by byte address
        self._jobs = []  # [cycles left, bank that it needs or None]
        self._rng, self._stall, self._longest = rng, stall, longest

    def run(self, *testbenches):
        """Run test benches, which may call `execute`."""
        background = [self._program, self._records, self._failures, self._units]
        simulate(self.dut, *testbenches, background=background)

    async def execute(self, ctx, raw, records=(), tokens=(), **registers):
        """Run a program to its end.

        Parameters
        ----------
        ctx, raw
            The test bench's context, the program.
        records, tokens
            What lies at `RECORDS` and `TOKENS`: slots, and numbers.
        registers : int
            first_position, prompt_end, end_position, stop_token.

        Returns
        -------
        tuple
            The error; the instructions issued, as (opcode, fields); the cycles.
        """
        dut = self.dut
        numbers = b"".join(token.to_bytes(4, "little") for token in tokens)
        self._memory = {PROGRAM: raw, RECORDS: b"".join(records), TOKENS: numbers}
        for seen in (self.issued, self.positions, self.segments, self.record_segments):
            seen.clear()
        for name in ("first_position", "prompt_end", "end_position", "stop_token"):
            ctx.set(getattr(dut, name), registers.pop(name, 0))
        assert not registers
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        done = cycles = 0
        while not done:
            _, _, busy, done, error, working, self.position = await ctx.tick().sample(
                dut.busy, dut.done, dut.error, dut.working, dut.position
            )
            assert busy
            assert not (done and working), "it must wait until everything is done"
            cycles += 1
        _, _, busy, done = await ctx.tick().sample(dut.busy, dut.done)
        assert not busy and not done
        return error, list(self.issued), cycles

    def asked(self):
        """Return the byte offsets into the program of all that was asked for."""
        return self._bytes(self.segments, PROGRAM)

    def asked_records(self):
        """Return the byte offsets into the records of all that was asked for there."""
        return self._bytes(self.record_segments, RECORDS)

    def _bytes(self, segments, base):
        width = self.params.axi_bytes
        words = [address + i for address, count in segments for i in range(count)]
        return [word * width - base + byte for word in words for byte in range(width)]

    def _read(self, address):
        width = self.params.axi_bytes
        start = address * width
        self.read_failures += start in self.failing
        word = b""
        for base, content in self._memory.items():
            if base <= start < base + len(content):
                word = content[start - base : start - base + width]
        return int.from_bytes(word.ljust(width, b"\xee"), "little")

    async def _program(self, ctx):
        await self._serve(ctx, self.dut.o_request, self.dut.i_words, self.segments)

    async def _records(self, ctx):
        await self._serve(ctx, self.dut.o_records, self.dut.i_records, self.record_segments)

    async def _serve(self, ctx, request, words, segments):
        rng, stall = self._rng, self._stall
        await serve(ctx, request, words, self._read, rng, stall, stall, segments)

    async def _failures(self, ctx):
        """Tell of a failed word in the cycle in which it is offered, the latest there can be."""
        while True:
            ctx.set(self.dut.read_failed, self.read_failures > 0)
            self.read_failures = 0
            await ctx.tick()

    async def _units(self, ctx):
        dut = self.dut
        streams = {o: getattr(dut, f"o_{o.name.lower()}") for o in HANDED_OVER}
        rules = {opcode: StreamRule() for opcode in streams}
        bank = tokens = None
        while True:
            for stream in streams.values():
                ctx.set(stream.ready, self._rng.random() >= self._stall)
            busy = [any(needed == b for _, needed in self._jobs) for b in range(2)]
            ctx.set(dut.working, bool(self._jobs))
            ctx.set(dut.bank_busy, busy[0] | busy[1] << 1)
            sampled = [s for o in streams.values() for s in (o.valid, o.ready, o.payload)]
            _, _, at_bank, at_tokens, position, *values = await ctx.tick().sample(
                dut.bank, dut.tokens, dut.position, *sampled
            )
            for index, opcode in enumerate(streams):
                valid, ready, payload = values[3 * index : 3 * index + 3]
                if not rules[opcode].check(valid, ready, payload):
                    continue
                raw = to_int(payload).to_bytes(SLOT_BYTES, "little")
                fields = unpack(LAYOUTS[opcode], raw)
                assert fields.pop("opcode") == opcode.value
                self.issued.append((opcode, fields))
                self.positions.append(position)
                assert not (fields["fence"] and self._jobs), "results are still to be written"
                if opcode is Opcode.ENCODE:
                    assert not busy[at_bank], "a MATMUL still needs these thresholds"
                    bank, tokens = at_bank, fields["tokens"]
                elif opcode is Opcode.MATMUL:
                    assert (at_bank, at_tokens) == (bank, tokens)
                needed = bank if opcode is Opcode.MATMUL else None
                self._jobs.append([self._rng.randint(1, self._longest), needed])
            if not self.held:
                self._jobs = [[left - 1, needed] for left, needed in self._jobs if left > 1]


def run(raw, seed, failing=(), registers=None, **settings):
    """Run one program; return its error and the instructions issued.

    `failing` are byte offsets into the program; `registers` is what `execute` takes besides.
    """
    bench = ControllerBench(random.Random(seed), **settings)
    bench.failing = {PROGRAM + offset for offset in failing}
    found = []

    async def check(ctx):
        found.extend(await bench.execute(ctx, raw, **registers or {}))

    bench.run(check)
    return found[0], found[1]
