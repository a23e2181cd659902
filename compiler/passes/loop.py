"""Pass 5, fold: one program with a loop over the layers, and what differs between them apart."""

from dataclasses import dataclass, replace

from compiler.passes.place import Region
from compiler.passes.schedule import Instruction
from compiler.programs.lower import WholeModel
from compiler.programs.schedule import Pass
from hw.contract import isa
from hw.contract.isa import Opcode

__all__ = ["Program", "fold"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A whole model's program.

    Attributes
    ----------
    instructions : list of Instruction
        Slot by slot; those of the loop are the first layer's.
    records : bytes
        What LAYERS reads.
    unrolled : list of tuple of int and Instruction
        All that is done for one token, layer after layer, each with its slot.
    """

    instructions: list[Instruction]
    records: bytes
    unrolled: list[tuple[int, Instruction]]


def fold(model: WholeModel, token: Pass, regions: dict[str, Region]) -> Program:
    """Return the program: for each token the pass, with the layers as one loop.

    A slot in which some layer differs from the first is layered. The record of such a slot is the
    exclusive or of the first layer's instruction and the layer's own, so that of the first is 0.
    """
    first = token.layers[0]
    own = [[_word(step) for step in layer] for layer in token.layers]
    layered = [len({layer[at] for layer in own}) > 1 for at in range(len(first))]
    records = b"".join(
        (word ^ base).to_bytes(isa.SLOT_BYTES, "little")
        for layer in own
        for word, base, differs in zip(layer, own[0], layered, strict=True)
        if differs
    )
    body = [
        replace(step, fields={**step.fields, "layered": int(differs)})
        for step, differs in zip(first, layered, strict=True)
    ]
    start = [
        _control(
            Opcode.TOKEN, tokens=regions["tokens"].address, vocabulary=model.config.vocab_size
        ),
        *token.embed,
        _control(
            Opcode.LAYERS,
            layers=len(token.layers),
            slots=len(body),
            records=regions["records"].address,
            record_count=len(records) // isa.SLOT_BYTES,
        ),
    ]
    ahead = [*start, *body, _control(Opcode.PREFILL, slots=len(token.head)), *token.head]
    return Program(
        instructions=[
            *ahead,
            _control(Opcode.NEXT, slots=len(ahead)),
            _control(Opcode.END),
        ],
        records=records,
        unrolled=[
            *enumerate(token.embed, 1),
            *(pair for layer in token.layers for pair in enumerate(layer, len(start))),
            *enumerate(token.head, len(ahead) - len(token.head)),
        ],
    )


def _word(step: Instruction) -> int:
    return int.from_bytes(isa.assemble(step.opcode, **step.fields), "little")


def _control(opcode: Opcode, **fields: int) -> Instruction:
    return Instruction(opcode=opcode, fields=fields)
