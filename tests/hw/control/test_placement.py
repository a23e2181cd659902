"""The placement of a VECTOR: addresses by token and position, modulo their width."""

import random

import pytest

from hw.contract.isa import INSTRUCTIONS, Opcode, VectorOp
from hw.control.placement import Placement
from tests.harness.streams import simulate

VECTOR = INSTRUCTIONS[Opcode.VECTOR]
ADDRESSES = 1 << 40


def placed(fields, position, token):
    """Return the fields of a VECTOR where it belongs."""
    a = fields["a"] + fields["a_by_token"] * token * fields["stride"]
    b = fields["b"] + fields["b_by_position"] * (position % (1 << 16)) * fields["stride"]
    number = 4 * (position + 1) if fields["operation"] == VectorOp.ARGMAX.value else 0
    sums = {"a": a, "b": b, "destination": fields["destination"] + number}
    return fields | {name: value % ADDRESSES for name, value in sums.items()}


@pytest.mark.parametrize("largest", [False, True])
def test_addresses(largest, seed):
    """One after the other, of random fields, and of fields that are all ones."""
    rng = random.Random(seed)
    dut = Placement()

    def bits(width):
        return (1 << width) - 1 if largest else rng.getrandbits(width)

    async def check(ctx):
        for operation in [*VectorOp] * 10:
            fields = {name: bits(field.width) for name, field in VECTOR}
            fields |= {"opcode": Opcode.VECTOR.value, "operation": operation.value}
            fields |= {"a_by_token": rng.getrandbits(1), "b_by_position": rng.getrandbits(1)}
            position, token = bits(32), bits(24)
            ctx.set(dut.i, VECTOR.from_bits(pack(fields)))
            ctx.set(dut.position, position)
            ctx.set(dut.token, token)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycles = 2  # from start on
            while not ctx.get(dut.done):
                await ctx.tick()
                cycles += 1
            bits_of_product = 24 if fields["a_by_token"] else 16 * fields["b_by_position"]
            assert cycles == 2 + bits_of_product
            await ctx.tick()
            for _ in range(rng.randint(1, 3)):  # it stays
                got = ctx.get(dut.o).as_bits()
                assert hex(got) == hex(pack(placed(fields, position, token)))
                await ctx.tick()

    simulate(dut, check)


def pack(fields):
    """Return the bits of a VECTOR."""
    return sum(fields[name] << field.offset for name, field in VECTOR)
