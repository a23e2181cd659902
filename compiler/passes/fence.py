"""Where instructions must wait for earlier ones: `fence`, set as seldom as possible."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from compiler.passes.instruction import Instruction
from hw.contract.isa import Opcode

__all__ = ["fenced"]


def fenced(instructions: Iterable[Instruction]) -> list[Instruction]:
    """Return the instructions with a fence wherever one needs or spoils what is under way.

    An instruction waits that reads a region which an earlier one writes, or writes one which an
    earlier one reads, or which another unit writes: each unit writes in order. The first waits for
    whatever came before. An ENCODE waits for its MATMULs, since these follow it element by element.
    """
    ordered = []
    reads: set[str] = set()
    writes: set[tuple[str, Opcode]] = set()
    for block in _blocks(instructions):
        own_reads = {name for step in block for name in step.reads}
        own_writes = {(name, step.opcode) for step in block for name in step.writes}
        names = {name for name, _ in own_writes}
        written = {name for name, _ in writes}
        others = {name for name, opcode in writes if (name, opcode) not in own_writes}
        if not ordered or own_reads & written or names & (reads | others):
            first = block[0]
            block[0] = replace(first, fields={**first.fields, "fence": 1})
            reads, writes = own_reads, own_writes
        else:
            reads, writes = reads | own_reads, writes | own_writes
        ordered += block
    return ordered


def _blocks(instructions: Iterable[Instruction]) -> Iterator[list[Instruction]]:
    """Yield each ENCODE with the MATMULs that follow it, and every other instruction alone."""
    block: list[Instruction] = []
    for step in instructions:
        if block and step.opcode is not Opcode.MATMUL:
            yield block
            block = []
        block.append(step)
    if block:
        yield block
