"""Random programs of every instruction, and the cycle model's counters against the RTL's."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import SLOT_BYTES, Cache, Coding, Opcode, Rule, VectorOp
from hw.contract.params import CACHE_COUNT, HwParams
from hw.contract.regs import Error
from sim.cycle.device import Cycle
from sim.device import NO_TOKEN, Registers, Result, Timing
from sim.rtl.bench.job import Job, Outcome
from sim.rtl.simulator import simulate
from sim.rtl.verilog import Build

__all__ = ["Whole", "differences", "outcomes", "random_whole"]

# Where things are. Nothing is written but the last area and, where an argmax says so, the tokens.
_RECORDS, _TOKENS, _VECTORS, _SCALES, _WEIGHTS, _WRITTEN = (
    0x6000, 0x1_0000, 0x1_2000, 0x4_0000, 0x5_0000, 0x10_0000,
)  # fmt: skip
_VOCABULARY = 50
_UNITS = (Opcode.ENCODE, Opcode.MATMUL, Opcode.MATMUL, Opcode.VECTOR, Opcode.VECTOR, Opcode.STORE)


@dataclass(frozen=True)
class Whole:
    """A program in its memory, what the host sets, and the memory's timing."""

    name: str
    params: HwParams
    memory: np.ndarray
    registers: Registers
    timing: Timing


class _Author:
    """Writes one program.

    What an instruction reads is never written, or has been written before its fence; what it writes
    nobody reads before the next fence. So memory sees no order that it could complain about.
    """

    def __init__(self, rng, params: HwParams, first_position: int) -> None:
        self.rng, self.params = rng, params
        self.beyond = first_position + 4  # positions
        self.free = _WRITTEN
        self.slots: list[bytes] = []
        self.records: list[bytes] = []
        self.said: list[str] = []

    def any_of(self, *values):
        return values[self.rng.integers(len(values))]

    def flag(self, probability=0.3) -> int:
        return int(self.rng.random() < probability)

    def words(self, elements: int) -> int:
        return self.params.vector_bytes(elements)

    def claim(self, count: int) -> int:
        """Return an address with room for so many bytes that nobody else gets."""
        step = self.params.axi_bytes
        address = self.free + step * int(self.rng.integers(0, 9))
        self.free = address + -(-count // step) * step
        return address

    def source(self, count: int, fence: int) -> int:
        """Return an address of so many bytes to read."""
        step = self.params.axi_bytes
        first, end = (_WRITTEN, self.free) if fence and self.flag(0.7) else (_VECTORS, _SCALES)
        if end - first < count:
            first, end = _VECTORS, _SCALES
        return first + step * int(self.rng.integers((end - first - count) // step + 1))

    def length(self, *, even=False) -> int:
        p = self.params
        edges = (1, 2, p.encode_lanes + 1, p.scan_width, p.lanes + 1, 77, 130, 200)
        edges += (p.tile_outputs, p.tile_outputs + 1) if p.tile_outputs < 300 else ()
        edges += (3 * p.tile_outputs,) if p.tile_outputs < 100 else ()
        length = int(self.any_of(*edges))
        return length + length % 2 if even else length

    def unit(self, *, fence: int | None = None) -> tuple[Opcode, dict[str, int]]:
        """Return a random instruction that a unit executes."""
        fence = self.flag() if fence is None else fence
        opcode = self.any_of(*_UNITS)
        if opcode is Opcode.STORE and self.params.max_count < CACHE_COUNT:
            opcode = Opcode.VECTOR
        make = getattr(self, opcode.name.lower())
        return opcode, {"fence": fence, **make(fence)}

    def encode(self, fence: int) -> dict[str, int]:
        p, channels = self.params, self.length()
        tokens = int(self.rng.integers(1, p.tokens + 1))
        stride = self.words(channels + self.beyond) + p.axi_bytes * self.flag()
        return dict(
            by_position=self.flag(),
            rule=int(self.any_of(*Rule).value),
            tokens=tokens,
            channels=channels,
            max_count=min(p.max_count, int(self.any_of(127, 7))),
            multiplier=int(self.rng.integers(1, 257)),
            divisor=int(self.rng.integers(1, 500)),
            peak=int(self.rng.integers(1 << 31)),
            dead_zone=int(self.any_of(0, 0, 1 << 10, 1 << 31)),
            source=self.source(tokens * stride, fence),
            source_stride=stride,
        )

    def matmul(self, _fence: int) -> dict[str, int]:
        p, outputs = self.params, self.length()
        stride = self.words(outputs + self.beyond)
        words = p.axi_bytes * int(self.rng.integers(64))
        return dict(
            by_position=self.flag(),
            coding=int(self.any_of(*Coding).value),
            weight_width=int(self.any_of(*p.weight_widths)),
            has_bias=self.flag(),
            strided=self.flag(),
            outputs=outputs,
            weights=_WEIGHTS + p.axi_bytes * int(self.rng.integers(4096)),
            channel_words=_SCALES + words,
            destination=self.claim(p.tokens * stride),
            destination_stride=stride,
        )

    def vector(self, fence: int) -> dict[str, int]:
        p, operation = self.params, self.any_of(*VectorOp)
        elements = self.length(even=operation is VectorOp.ROTATE)
        rows = int(self.any_of(1, 1, 2, 3, 5))
        stride = self.words(elements + self.beyond) + p.axi_bytes * self.flag()
        by_token, by_position = self.flag(0.2), self.flag(0.2)
        count = (rows + 1) * stride
        a = _VECTORS if by_token else self.source(count, fence)
        b = _VECTORS if by_position else self.source(count, fence)
        if operation is VectorOp.SOFTMAX:
            b = _SCALES
        return dict(
            by_position=0 if operation is VectorOp.ROTATE else self.flag(),
            operation=operation.value,
            rows=rows,
            elements=elements,
            stride=stride,
            a=a,
            b=b,
            destination=self.claim(count + 4 * (self.beyond + 1)),
            constant=int(self.any_of(1, 1 << 10, (1 << 25) - 1)),
            a_by_token=by_token,
            b_by_position=by_position,
            b_same=self.flag(),
        )

    def store(self, fence: int) -> dict[str, int]:
        p, heads = self.params, int(self.any_of(1, 2, 3))
        channels = min(self.length(), p.tile_outputs, 200)
        stride = self.words(channels)
        tiles = -(-self.beyond // p.tile_outputs)
        codes = max(tiles * channels * p.tile_outputs, self.beyond * p.row_bytes(channels, 8))
        scales = self.words(self.beyond)
        return dict(
            cache=int(self.any_of(*Cache).value),
            heads=heads,
            channels=channels,
            source=self.source(heads * stride, fence),
            source_stride=stride,
            codes=self.claim(heads * codes),
            codes_stride=codes,
            scales=self.claim(heads * scales),
            scales_stride=scales,
        )

    def add(self, opcode: Opcode, **fields: int) -> None:
        self.slots.append(isa.assemble(opcode, **fields))
        self.said.append(opcode.name)

    def units(self, count: int) -> None:
        for _ in range(count):
            opcode, fields = self.unit()
            self.add(opcode, **fields)

    def layers(self) -> None:
        """Add a loop whose layered slots may be something else in each round."""
        layers, count = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 5))
        layered = [self.flag(0.6) for _ in range(count)]
        body, records = [], [[] for _ in range(layers)]
        for index in range(count):
            fence = 1 if index == 0 else None  # the round before must have ended
            opcode, fields = self.unit(fence=fence)
            body.append((opcode, {**fields, "layered": layered[index]}))
            for record in records if layered[index] else ():
                other, wanted = self.unit(fence=fence)
                if self.flag(0.05):
                    other, wanted = Opcode.END, {}
                wanted["layered"] = self.flag(0.9)
                base = isa.assemble(opcode, **body[-1][1])
                record.append(
                    bytes(a ^ b for a, b in zip(base, isa.assemble(other, **wanted), strict=True))
                )
        flat = [slot for record in records for slot in record]
        self.add(
            Opcode.LAYERS,
            fence=self.flag(),
            layers=layers,
            slots=count,
            records=_RECORDS + SLOT_BYTES * len(self.records),
            record_count=len(flat),
        )
        for opcode, fields in body:
            self.add(opcode, **fields)
        self.records += flat


def random_whole(rng, params: HwParams, timing: Timing | None = None) -> Whole:
    """Return a random program, by default on a memory of random latency."""
    first = int(rng.choice([0, 1, min(params.tile_outputs, 300) - 2, 45]))
    author = _Author(rng, params, first)
    # There is something to multiply from the first instruction on.
    author.add(Opcode.ENCODE, **author.encode(0))
    registers = Registers(first_position=first)
    author.units(int(rng.integers(0, 6)))
    if rng.random() < 0.3:
        author.layers()
    if rng.random() < 0.7:
        registers = _positions(author, first)
    author.units(int(rng.integers(0, 4)))
    author.add(Opcode.END)
    if timing is None:
        timing = Timing(latency=int(rng.choice([1, 2, 3, 20, 60, rng.integers(1, 200)])))
    memory = _memory(rng, params, author)
    return Whole(f"{' '.join(author.said)}, {registers}", params, memory, registers, timing)


def _positions(author: _Author, first: int) -> Registers:
    """Add a loop over positions, with a part that is skipped before the prompt's end."""
    rng = author.rng
    begin = len(author.slots)
    author.add(Opcode.TOKEN, fence=author.flag(), tokens=_TOKENS, vocabulary=_VOCABULARY)
    author.units(int(rng.integers(0, 4)))
    for _ in range(rng.integers(0, 3)):
        author.layers()
        author.units(int(rng.integers(0, 3)))
    tail = _Author(rng, author.params, first)
    tail.free = author.free
    tail.units(int(rng.integers(0, 4)))
    if author.flag(0.7):
        fields = dict(operation=VectorOp.ARGMAX.value, rows=1, elements=_VOCABULARY, stride=0)
        fields |= dict(a=_VECTORS, b=0, destination=_TOKENS, constant=0)
        fields |= dict(a_by_token=0, b_by_position=0, b_same=0)
        tail.add(Opcode.VECTOR, **fields)
    author.add(Opcode.PREFILL, fence=author.flag(), slots=len(tail.slots))
    author.slots += tail.slots
    author.said += tail.said
    author.free = tail.free
    author.add(Opcode.NEXT, fence=author.flag(), slots=len(author.slots) - begin)
    return Registers(
        first_position=first,
        prompt_end=first + int(rng.integers(0, 4)),
        end_position=first + int(rng.integers(0, 4)),
        stop_token=int(author.any_of(NO_TOKEN, NO_TOKEN, 0, 1, 2)),
    )


def _memory(rng, params: HwParams, author: _Author) -> np.ndarray:
    memory = np.zeros(author.free, np.uint8)

    def put(address: int, values: np.ndarray) -> None:
        raw = np.ascontiguousarray(values).view(np.uint8)
        memory[address : address + raw.size] = raw

    program = isa.pack(
        isa.HEADER,
        magic=isa.MAGIC,
        slots=len(author.slots),
        reserved=0,
        fingerprint=int(fingerprint(params), 16),
    )
    program += b"".join(author.slots)
    records = b"".join(author.records)
    assert len(program) <= _RECORDS and len(records) <= _TOKENS - _RECORDS
    put(0, np.frombuffer(program, np.uint8))
    put(_RECORDS, np.frombuffer(records, np.uint8))
    put(_TOKENS, rng.integers(0, 5, 512).astype("<u4"))
    x = rng.integers(-(1 << 31), 1 << 31, (_SCALES - _VECTORS) // 4)
    runs = -(-x.size // 64)
    x >>= np.repeat(rng.integers(0, 32, runs), 64)[: x.size]  # large and small in turn
    x *= rng.random(x.size) < rng.choice([0.1, 0.5, 1])
    put(_VECTORS, x.astype("<i4"))
    count = (_WEIGHTS - _SCALES) // 4
    scales = rng.integers(1 << 15, 1 << 16, count) | rng.integers(8, 72, count) << 16
    put(_SCALES, scales.astype("<u4"))
    put(_WEIGHTS, rng.integers(0, 256, _WRITTEN - _WEIGHTS).astype(np.uint8))
    return memory


def outcomes(build: Build, wholes: list[Whole], directory: Path) -> list[Outcome]:
    """Run programs in RTL, one after the other, in one process."""
    jobs = []
    for index, whole in enumerate(wholes):
        image = directory / f"memory{index}"
        whole.memory.tofile(image)
        job = Job(
            name=f"{index}",
            image=str(image),
            memory_bytes=whole.memory.size,
            word_bytes=whole.params.axi_bytes,
            program=0,
            registers={n.upper(): value for n, value in asdict(whole.registers).items()},
            writable=[[0, whole.memory.size]],
            limit_cycles=1 << 40,
            **asdict(whole.timing),
        )
        jobs.append(job)
    return simulate(build, jobs)


def predicted(whole: Whole) -> Result:
    """Return what the cycle device finds."""
    return Cycle(timing=whole.timing).execute(whole.memory.copy(), 0, whole.params, whole.registers)


def differences(whole: Whole, outcome: Outcome) -> list[str]:
    """Return each counter that the model has otherwise than the RTL, as a sentence."""
    about = f"{whole.name}, {whole.timing}"
    assert not outcome.failure, f"{about}: {outcome.failure}"
    finished = predicted(whole)
    assert finished.error is Error.NONE, about
    assert (outcome.error, outcome.position) == (0, finished.position), about
    return [
        f"{about}: {name} is {value}, predicted {finished.counters[name]}"
        for name, value in outcome.counters.items()
        if finished.counters[name] != value
    ]
