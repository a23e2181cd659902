"""The controller: what waits for what is under way."""

import random

import pytest

from hw.contract.isa import Opcode
from hw.contract.regs import Error
from tests.harness.controller import ControllerBench
from tests.harness.programs import (
    CONTROL,
    FOR_EVER,
    HANDED_OVER,
    PLAIN,
    SAME,
    program,
    slot,
)


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
