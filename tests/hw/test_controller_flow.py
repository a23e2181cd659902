"""The controller: loops, jumps, positions and tokens, and what goes wrong in the midst of them."""

import random
from itertools import pairwise

import pytest

from hw.isa import HEADER, SLOT_BYTES, Opcode, VectorOp
from hw.presets import preset
from hw.regs import Error
from tests.harness.controller import (
    PROGRAM,
    RECORDS,
    TOKENS,
    ControllerBench,
    fields,
    program,
    record,
    run,
    slot,
)
from tests.harness.walk import walk

TEST = preset("test")
WIDTHS = [64, 128, 256]
HANDED_OVER = [Opcode.ENCODE, Opcode.MATMUL, Opcode.VECTOR, Opcode.STORE]
CONTROL = [Opcode.TOKEN, Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS]
FOR_EVER = {"end_position": (1 << 32) - 1, "stop_token": (1 << 32) - 1}


def instruction(rng, params, **changes):
    """Return a random instruction for another unit."""
    opcode = rng.choice(HANDED_OVER)
    by_position = rng.getrandbits(1)
    own = {
        Opcode.ENCODE: lambda: {"channels": rng.randint(1, params.max_channels - 40)},
        Opcode.MATMUL: lambda: {"outputs": rng.randint(1, 1 << 20)},
        Opcode.VECTOR: lambda: {
            # An ARGMAX or a COPY, where no length is odd.
            "operation": rng.choice([VectorOp.COPY, VectorOp.ADD, VectorOp.ARGMAX]),
            "elements": rng.randint(1, 1 << 20),
            "a_by_token": rng.getrandbits(1),
            "b_by_position": rng.getrandbits(1),
        },
        Opcode.STORE: lambda: {"heads": rng.randint(1, 127)},
    }[opcode]()
    modifiers = {"by_position": by_position, "fence": rng.random() < 0.3}
    return slot(opcode, **own | modifiers | changes)


def loop(rng, params):
    """Return LAYERS with what it repeats, and its records."""
    layers, count = rng.randint(1, 4), rng.randint(1, 4)
    templates = [instruction(rng, params, layered=rng.getrandbits(1)) for _ in range(count)]
    layered = [t for t in templates if t[1] & 1]
    records = [
        record(template, instruction(rng, params, layered=1))
        for _ in range(layers)
        for template in layered
    ]
    head = slot(Opcode.LAYERS, layers=layers, slots=count, record_count=len(records))
    return [head, *templates], records


def token_program(rng, params):
    """Return the slots of a program that works on token after token, and its records."""
    body, records = loop(rng, params)
    ends = [instruction(rng, params) for _ in range(rng.randint(0, 3))]
    slots = [slot(Opcode.ENCODE), slot(Opcode.TOKEN), *body]
    slots += [slot(Opcode.PREFILL, slots=len(ends)), *ends]
    slots.append(slot(Opcode.NEXT, slots=len(slots) - 1))
    return [*slots, slot(Opcode.END)], records


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall, longest", [(0.0, 1), (0.5, 1), (0.2, 40)])
def test_programs_of_several_tokens(width, stall, longest, seed):
    rng = random.Random(seed)
    bench = ControllerBench(rng, width, stall, longest=longest)

    async def check(ctx):
        for _ in range(4):
            slots, records = token_program(rng, bench.params)
            first, count = rng.randint(0, 30), rng.randint(1, 6)
            tokens = [rng.randrange(1000) for _ in range(first + count)]
            registers = {
                "first_position": first,
                "prompt_end": first + rng.randint(0, count),
                "end_position": first + count,
                "stop_token": rng.choice([tokens[-1], 1000]),
            }
            expected = walk(slots, bench.params, records, tokens, **registers)
            raw = program(*slots)
            error, issued, _ = await bench.execute(ctx, raw, records, tokens, **registers)
            assert (error, issued, bench.position) == expected
            assert error == Error.NONE and issued

    bench.run(check)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_layers_take_their_records_one_after_the_other(width, stall, seed):
    """Two of three slots are layered: each repetition takes the next two records."""
    layers = 5
    outputs = [[100 * layer + 1, 100 * layer + 2] for layer in range(layers)]
    templates = [slot(Opcode.MATMUL, layered=1, outputs=9), slot(Opcode.MATMUL)]
    templates.append(slot(Opcode.END, layered=1))
    records = [
        record(template, slot(Opcode.MATMUL, layered=1, outputs=number))
        for pair in outputs
        for template, number in zip(templates[::2], pair, strict=True)
    ]
    head = slot(Opcode.LAYERS, layers=layers, slots=3, record_count=len(records))
    slots = [slot(Opcode.ENCODE), head, *templates, slot(Opcode.MATMUL, outputs=3)]
    bench = ControllerBench(random.Random(seed), width, stall)
    expected = [fields(Opcode.ENCODE)]
    for first, second in outputs:
        expected += [
            fields(Opcode.MATMUL, layered=1, outputs=first),
            fields(Opcode.MATMUL),
            fields(Opcode.MATMUL, layered=1, outputs=second),
        ]
    expected.append(fields(Opcode.MATMUL, outputs=3))

    async def check(ctx):
        raw = program(*slots, slot(Opcode.END))
        for _ in range(2):
            assert (await bench.execute(ctx, raw, records))[:2] == (Error.NONE, expected)
            assert bench.asked_records() == list(range(len(records) * SLOT_BYTES))

    bench.run(check)


PLAIN = slot(Opcode.ENCODE)
LAYERED = slot(Opcode.ENCODE, layered=1)
SAME = bytes(SLOT_BYTES)


def layers_of(*slots, **changes):
    return [slot(Opcode.LAYERS, slots=len(slots), **changes), *slots]


@pytest.mark.parametrize(
    "slots, records, error, issued",
    [
        ([PLAIN, LAYERED], [SAME], Error.BAD_INSTRUCTION, 1),
        (layers_of(LAYERED, layers=2, record_count=1), [SAME] * 2, Error.BAD_INSTRUCTION, 1),
        (layers_of(LAYERED, layers=2, record_count=3), [SAME] * 3, Error.BAD_INSTRUCTION, 2),
        (layers_of(LAYERED, layers=2, record_count=9), [SAME] * 9, Error.BAD_INSTRUCTION, 2),
        (layers_of(PLAIN, layers=2, record_count=1), [SAME], Error.BAD_INSTRUCTION, 2),
        (layers_of(PLAIN, LAYERED, layers=2), [], Error.BAD_INSTRUCTION, 1),
        (layers_of(PLAIN, layers=3), [], Error.NONE, 3),
        ([*layers_of(PLAIN, layers=2), LAYERED], [], Error.BAD_INSTRUCTION, 2),
        ([*layers_of(LAYERED, record_count=1), LAYERED], [SAME] * 2, Error.BAD_INSTRUCTION, 1),
        ([*layers_of(PLAIN, layers=2), *layers_of(PLAIN, layers=2)], [], Error.NONE, 4),
        (layers_of(LAYERED, record_count=1), [record(LAYERED, b"\xff" * 32)], None, 0),
        # END in the midst of it, with records that nobody took.
        (layers_of(PLAIN, slot(Opcode.END), record_count=7), [SAME] * 7, Error.NONE, 1),
        *((layers_of(PLAIN, slot(control)), [], None, 1) for control in CONTROL),
        # It would end beyond the program.
        ([slot(Opcode.LAYERS, slots=3), PLAIN], [], None, 0),
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_loops_good_and_bad(slots, records, error, issued, stall, seed):
    """None stands for BAD_INSTRUCTION. Between them a good program runs."""
    error = Error.BAD_INSTRUCTION if error is None else error
    bench = ControllerBench(random.Random(seed), stall=stall)
    good = program(*layers_of(LAYERED, layers=3, record_count=3), slot(Opcode.END))
    raw = program(*slots, slot(Opcode.END))

    async def check(ctx):
        for _ in range(2):
            found, got, _ = await bench.execute(ctx, raw, records, **FOR_EVER)
            assert (found, len(got)) == (error, issued)
            found, got, _ = await bench.execute(ctx, good, [SAME] * 3)
            assert (found, got) == (Error.NONE, [fields(Opcode.ENCODE, layered=1)] * 3)

    bench.run(check)


@pytest.mark.parametrize("opcode", [*HANDED_OVER, Opcode.END])
@pytest.mark.parametrize("layered", [0, 1])
@pytest.mark.parametrize("position", [0, 1, 77])
def test_lengths_grow_by_the_position(opcode, layered, position, seed):
    changes = {"operation": VectorOp.COPY} if opcode is Opcode.VECTOR else {}
    whole = slot(opcode, by_position=1, layered=layered, **changes)
    template = slot(Opcode.STORE, layered=1) if layered else whole
    slots = [PLAIN, *layers_of(template, record_count=layered), slot(Opcode.END)]
    records = [record(template, whole)] * layered
    bench = ControllerBench(random.Random(seed))
    grown = {Opcode.ENCODE: "channels", Opcode.MATMUL: "outputs", Opcode.VECTOR: "elements"}
    if opcode in grown:
        changes[grown[opcode]] = fields(opcode)[1][grown[opcode]] + position
    expected = [fields(Opcode.ENCODE)]
    if opcode is not Opcode.END:
        expected.append(fields(opcode, by_position=1, layered=layered, **changes))

    async def check(ctx):
        raw = program(*slots)
        found = await bench.execute(ctx, raw, records, first_position=position)
        assert found[:2] == (Error.NONE, expected)
        assert bench.position == position

    bench.run(check)


LONGEST = (1 << 24) - 1


@pytest.mark.parametrize(
    "opcode, changes, longest",
    [
        (Opcode.ENCODE, {"channels": 1}, TEST.max_channels - 1),
        (Opcode.ENCODE, {"channels": 0}, TEST.max_channels),
        (Opcode.ENCODE, {"channels": 2000}, TEST.max_channels - 2000),
        (Opcode.MATMUL, {"outputs": LONGEST}, 0),
        (Opcode.MATMUL, {"outputs": 1}, LONGEST - 1),
        (Opcode.VECTOR, {"operation": VectorOp.ADD, "elements": LONGEST - 5}, 5),
        (Opcode.VECTOR, {"operation": VectorOp.SOFTMAX, "elements": 1}, TEST.max_channels - 1),
    ],
)
def test_sums_that_are_too_long(opcode, changes, longest, seed):
    """The longest is good; one more is not, nor are those that wrap in the field."""
    raw = program(PLAIN, slot(opcode, by_position=1, **changes), slot(Opcode.END))
    wraps = [longest + 1, longest + (1 << 16), longest + (1 << 24), (1 << 32) - 1]
    for position in (longest, *wraps):
        error, issued = run(raw, seed, registers={"first_position": position})
        good = position == longest
        assert error == (Error.NONE if good else Error.BAD_INSTRUCTION), hex(position)
        assert len(issued) == 1 + good


@pytest.mark.parametrize("token, position", [(0, 0), (1, 0), (999, 5), (0xFF_FFFE, 65535)])
@pytest.mark.parametrize("operation", [VectorOp.COPY, VectorOp.ADD, VectorOp.ARGMAX])
@pytest.mark.parametrize("by_token, by_position", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_addresses_by_token_and_position(token, position, operation, by_token, by_position, seed):
    changes = {"operation": operation, "stride": 0xAB_CDE8, "a": (1 << 40) - 8, "b": 0x98}
    changes |= {"a_by_token": by_token, "b_by_position": by_position}
    slots = [slot(Opcode.TOKEN, vocabulary=LONGEST), slot(Opcode.VECTOR, **changes)]
    slots.append(slot(Opcode.END))
    bench = ControllerBench(random.Random(seed))
    number = 4 * (position + 1) if operation is VectorOp.ARGMAX else 0
    expected = {
        "a": (changes["a"] + by_token * token * 0xAB_CDE8) % (1 << 40),
        "b": (changes["b"] + by_position * position * 0xAB_CDE8) % (1 << 40),
        "destination": fields(Opcode.VECTOR)[1]["destination"] + number,
    }

    async def check(ctx):
        tokens = [7] * position + [token]
        registers = {**FOR_EVER, "first_position": position}
        found = await bench.execute(ctx, program(*slots), (), tokens, **registers)
        assert found[:2] == (Error.NONE, [fields(Opcode.VECTOR, **changes | expected)])

    bench.run(check)


@pytest.mark.parametrize(
    "slots, good",
    [
        ([slot(Opcode.VECTOR, b_by_position=1)], False),
        ([slot(Opcode.VECTOR)], True),
        ([slot(Opcode.STORE)], False),
    ],
)
def test_positions_beyond_16_bits(slots, good, seed):
    for position in (65535, 65536, 1 << 31):
        raw = program(*slots, slot(Opcode.END))
        error, issued = run(raw, seed, registers={"first_position": position})
        fits = good or position < 65536
        assert (error == Error.NONE) == fits == bool(issued), position


def test_a_token_of_a_program_before_is_forgotten(seed):
    """VECTOR without TOKEN: the token is 0."""
    bench = ControllerBench(random.Random(seed))
    by_token = slot(Opcode.VECTOR, a_by_token=1)

    async def check(ctx):
        raw = program(slot(Opcode.TOKEN), by_token, slot(Opcode.END))
        _, issued, _ = await bench.execute(ctx, raw, (), [5], **FOR_EVER)
        assert issued[0][1]["a"] != fields(Opcode.VECTOR)[1]["a"]
        _, issued, _ = await bench.execute(ctx, program(by_token, slot(Opcode.END)))
        assert issued == [fields(Opcode.VECTOR, a_by_token=1)]

    bench.run(check)


@pytest.mark.parametrize(
    "first, prompt_end, end, stop, last, error",
    [
        (0, 0, 0, 1000, 0, Error.NONE),  # nothing to do
        (2, 0, 5, 1000, 5, Error.NONE),
        (0, 0, 9, 104, 4, Error.NONE),  # the token before which it stops
        (0, 5, 9, 104, 9, Error.NONE),  # that one is the prompt's
        (0, 4, 9, 104, 4, Error.NONE),
        (0, 4, 5, 105, 5, Error.NONE),
        (0, 20, 20, 1000, 10, Error.BAD_TOKEN),
        (0, 0, 20, 1000, 10, Error.BAD_TOKEN),
        (0, 0, 20, 5000, 10, Error.BAD_TOKEN),  # though it is the stop token
        (11, 0, 20, 1000, 11, Error.BAD_TOKEN),
        (12, 0, 20, 1000, 12, Error.BAD_TOKEN),
        (13, 0, 13, 1000, 13, Error.NONE),
    ],
)
@pytest.mark.parametrize("width", WIDTHS)
def test_where_tokens_end(first, prompt_end, end, stop, last, error, width, seed):
    """Tokens are 100 and what follows; at 10 and behind it one that the vocabulary has not."""
    tokens = [100 + position for position in range(10)] + [5000, 1000, (1 << 32) - 1, 1]
    raw = program(slot(Opcode.TOKEN), PLAIN, slot(Opcode.NEXT, slots=2))
    registers = {"first_position": first, "prompt_end": prompt_end}
    registers |= {"end_position": end, "stop_token": stop}
    bench = ControllerBench(random.Random(seed), width, stall=0.3)

    async def check(ctx):
        found, issued, _ = await bench.execute(ctx, raw, (), tokens, **registers)
        assert (found, bench.position) == (error, last)
        assert bench.positions == list(range(first, last))

    bench.run(check)


@pytest.mark.parametrize("prompt_end", [0, 1, 4, 5, 6, 9])
@pytest.mark.parametrize("skipped", [0, 1, 3])
def test_the_prompt_skips_slots(prompt_end, skipped, seed):
    """Up to the prompt's last position but one, what PREFILL skips is not executed."""
    ends = [slot(Opcode.ENCODE, divisor=index + 1) for index in range(skipped)]
    slots = [slot(Opcode.TOKEN), slot(Opcode.PREFILL, slots=skipped), *ends]
    slots.append(slot(Opcode.NEXT, slots=len(slots)))
    bench = ControllerBench(random.Random(seed))

    async def check(ctx):
        registers = {"prompt_end": prompt_end, "end_position": 8, "stop_token": 1000}
        found, _, _ = await bench.execute(ctx, program(*slots), (), [0] * 8, **registers)
        assert found == Error.NONE
        worked_on = range(max(0, prompt_end - 1), 8)
        assert bench.positions == [p for p in worked_on for _ in range(skipped)]

    bench.run(check)


@pytest.mark.parametrize("opcode", [*HANDED_OVER, *CONTROL])
@pytest.mark.parametrize("fence", [0, 1])
def test_a_fence_waits_for_what_is_under_way(opcode, fence, seed):
    """While a MATMUL is held up; TOKEN waits without a fence too, others do not."""
    layered = int(opcode is Opcode.LAYERS)
    records = [SAME] * layered
    changes = {"slots": 3, "record_count": 1} if layered else {}
    slots = [PLAIN, slot(Opcode.MATMUL), slot(opcode, fence=fence, **changes)]
    slots += [slot(Opcode.STORE, layered=layered), *[slot(Opcode.STORE)] * 2, slot(Opcode.END)]
    if opcode is Opcode.NEXT:  # back to a PREFILL that skips nothing then
        slots = [slot(Opcode.PREFILL, slots=2), slot(Opcode.STORE), slot(Opcode.END)]
        slots += [PLAIN, slot(Opcode.MATMUL), slot(Opcode.NEXT, slots=5, fence=fence)]
    bench = ControllerBench(random.Random(seed))
    bench.held = True
    free = not fence and opcode is not Opcode.TOKEN

    async def release(ctx):
        await ctx.tick().repeat(200)
        assert (len(bench.issued) > 2) == free
        if not free:
            assert bench.record_segments == []
        bench.held = False

    async def check(ctx):
        registers = {**FOR_EVER, "prompt_end": 2} if opcode is Opcode.NEXT else FOR_EVER
        found = await bench.execute(ctx, program(*slots), records, [0], **registers)
        assert found[0] == Error.NONE
        assert len(found[1]) > 2

    bench.run(check, release)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("where", ["slots", "records", "tokens"])
def test_what_could_not_be_read_is_not_executed(width, stall, where, seed):
    """Every word in turn, with loops and jumps; and after it everything works again."""
    slots = [slot(Opcode.TOKEN), *layers_of(LAYERED, PLAIN, layers=2, record_count=2)]
    slots.append(slot(Opcode.NEXT, slots=len(slots)))
    records = [record(LAYERED, slot(Opcode.ENCODE, layered=1, divisor=n)) for n in (1, 2)]
    registers = {"end_position": 2, "stop_token": 1000}
    raw, tokens = program(*slots), [3, 4]
    words = {
        "slots": range(PROGRAM + HEADER.size // 8, PROGRAM + len(raw), width // 8),
        "records": range(RECORDS, RECORDS + 2 * SLOT_BYTES, width // 8),
        "tokens": range(TOKENS, TOKENS + 8, width // 8),
    }[where]
    _, whole, _ = walk(slots, TEST, records, tokens, **registers)
    bench = ControllerBench(random.Random(seed), width, stall)

    async def check(ctx):
        for failing in words:
            bench.failing = {failing}
            error, issued, _ = await bench.execute(ctx, raw, records, tokens, **registers)
            assert error == Error.READ_FAILED, hex(failing)
            assert issued == whole[: len(issued)]
            if where == "records":
                assert len(issued) <= 2 * ((failing - RECORDS) // SLOT_BYTES)
            bench.failing = set()
            found = await bench.execute(ctx, raw, records, tokens, **registers)
            assert found[:2] == (Error.NONE, whole)

    bench.run(check)


def test_a_failed_write_stops_a_loop(seed):
    """In the midst of a loop with records; then a program without one runs."""
    slots = [*layers_of(LAYERED, layers=100, record_count=100), slot(Opcode.END)]
    bench = ControllerBench(random.Random(seed), stall=0.2)

    async def fail(ctx):
        while len(bench.issued) < 7:
            await ctx.tick()
        ctx.set(bench.dut.write_failed, 1)
        await ctx.tick()
        ctx.set(bench.dut.write_failed, 0)

    async def check(ctx):
        error, issued, _ = await bench.execute(ctx, program(*slots), [SAME] * 100)
        assert error == Error.WRITE_FAILED
        assert 7 <= len(issued) <= 8
        found = await bench.execute(ctx, program(LAYERED, slot(Opcode.END)), [SAME])
        assert found[:2] == (Error.BAD_INSTRUCTION, [])

    bench.run(check, fail)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "opcode, layered, by_position, extra",
    [
        (Opcode.ENCODE, 0, 1, 1),
        (Opcode.ENCODE, 1, 0, 2),
        (Opcode.STORE, 1, 1, 2),
        (Opcode.VECTOR, 0, 0, 2),
        (Opcode.VECTOR, 1, 1, 4),
    ],
)
def test_timing(width, opcode, layered, by_position, extra):
    """Memory answers in the next cycle, and the units take an instruction a cycle."""
    bench = ControllerBench(random.Random(0), width)
    cycles = []
    one = slot(opcode, layered=layered, by_position=by_position)

    async def check(ctx):
        for count in (4, 5, 12):
            slots = layers_of(*[one] * count, record_count=layered * count)
            raw = program(*slots, slot(Opcode.END))
            found = await bench.execute(ctx, raw, [SAME] * layered * count)
            assert found[0] == Error.NONE
            cycles.append(found[2])

    bench.run(check)
    words = 8 * SLOT_BYTES // width
    each = (1 + layered) * words + 4 + extra
    assert [b - a for a, b in pairwise(cycles)] == [each, 7 * each]
