"""The controller: from token to token, up to the last one."""

import random

import pytest

from hw.contract.isa import Opcode, VectorOp
from hw.contract.regs import Error
from tests.harness.controller import WIDTHS, ControllerBench
from tests.harness.programs import (
    FOR_EVER,
    HANDED_OVER,
    PLAIN,
    fields,
    program,
    record,
    slot,
)
from tests.harness.walk import walk


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
