"""Fences of a whole model's program: they stand where they must and nowhere else."""

from dataclasses import replace

import pytest

from compiler.passes.program import image_of_model
from hw.contract.isa import Opcode, VectorOp
from tests.compiler.whole import PARAMS, executed_ranges, whole


def _touch(one, other):
    return any(a < d + e and d < a + b for a, b in one for d, e in other)


def _conflict(earlier, later):
    """Whether `later` must not begin before `earlier` has ended."""
    same_unit = earlier.opcode is later.opcode
    return (
        _touch(earlier.writes, later.reads)
        or _touch(earlier.reads, later.writes)
        or (not same_unit and _touch(earlier.writes, later.writes))
    )


def _conflicts(ranges):
    """Return the pairs of instructions that no fence keeps apart though they touch each other."""
    found, open_ = [], []
    for at, later in enumerate(ranges):
        if later.fence:
            open_ = []
        found += [(before, at) for before in open_ if _conflict(ranges[before], later)]
        open_.append(at)
    return found


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_fences_stand_where_they_must_and_nowhere_else(tokens, qk_norm):
    params = replace(PARAMS, tokens=tokens)
    model = whole(params, layers=3, qk_norm=qk_norm)
    image = image_of_model(model, params, "csd")
    program, regions = image.program, image.regions
    ranges = executed_ranges(model, params, program, regions, position=37)
    assert _conflicts(ranges) == []
    for at, step in enumerate(ranges):
        if step.fence:
            step.fence = 0
            assert _conflicts(ranges), f"the fence of instruction {at} keeps nothing apart"
            step.fence = 1


def test_softmax_goes_on_beside_the_products_of_other_heads():
    program = image_of_model(whole(), PARAMS, "csd").program
    names = [step.opcode.name for step in program.instructions]
    fences = [step.fields.get("fence", 0) for step in program.instructions]
    batches = 4  # six query heads on two of keys, two at a time: 2 + 1 each
    softmaxes = [
        i
        for i, s in enumerate(program.instructions)
        if s.fields.get("operation") == VectorOp.SOFTMAX.value and s.opcode is Opcode.VECTOR
    ]
    assert len(softmaxes) == batches
    for before, after in zip(softmaxes, softmaxes[1:], strict=False):
        between = names[before + 1 : after]
        assert between in (["ENCODE", "MATMUL"], ["ENCODE", "MATMUL"] * 2)
        assert not any(fences[before + 1 : after])
