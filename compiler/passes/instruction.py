"""An instruction, and what it stands for: what it reads, and which tensor it writes."""

from dataclasses import dataclass

from compiler.passes.lower import Matrix, Stage
from hw.contract.isa import Opcode

__all__ = ["Instruction"]


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, and what it stands for.

    Attributes
    ----------
    opcode : Opcode
        What it does.
    fields : dict
        Its fields by name, for `hw.contract.isa.assemble`.
    tensor : str
        What it writes, as golden calls it (`golden.model.integer.IntegerModel`): ``layers.0.q``,
        of an ENCODE ``layers.0.qkv.counts``, of a STORE its codes, ``layers.0.key``. Empty where it
        writes none.
    row : int
        Of the tensor, that it begins with: a head, or a token of a batch.
    stage : Stage or None
        Whose it is, if a stage's.
    matrix : Matrix or None
        The matrix of a MATMUL.
    reads, writes : tuple of str
        Regions whose contents other instructions of the program make, or need.
    """

    opcode: Opcode
    fields: dict[str, int]
    tensor: str = ""
    row: int = 0
    stage: Stage | None = None
    matrix: Matrix | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
