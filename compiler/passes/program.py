"""Pass 5, program: what a device's memory holds; a whole model's layers become a loop."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.passes.coding import coding_called
from compiler.passes.instruction import Instruction
from compiler.passes.lower import Stage
from compiler.passes.model import WholeModel
from compiler.passes.place import Region, end_of, place_layers, place_model, require_memory
from compiler.passes.schedule import Pass, Segment, schedule, schedule_layers, segments, slots_of
from compiler.passes.tile import check
from hw.contract import isa
from hw.contract.isa import Coding, Opcode
from hw.contract.params import HwParams

__all__ = ["LOOPED", "Image", "Program", "image_of_layers", "image_of_model", "image_of_shard"]

LOOPED = "layers.*."
"""What tensors of a loop's slots begin with: of whichever layer it is at."""

_HEADER_BYTES = isa.HEADER.size // 8


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a device executes.

    Attributes
    ----------
    instructions : list of Instruction
        Slot by slot; those of a whole model's loop are the first layer's, but for their tensors
        (`LOOPED`).
    executed : list of tuple of int and Instruction
        All that is done, of a whole model for one token: layer after layer, each with its slot.
    records : bytes
        What LAYERS reads.
    segments : tuple of Segment
        Of one of several devices, in their order: each is a program with a header of its own.
    """

    instructions: list[Instruction]
    executed: list[tuple[int, Instruction]]
    records: bytes = b""
    segments: tuple[Segment, ...] = ()

    def binary(self, fingerprint: str) -> bytes:
        """Return the program's bytes, for hardware of a fingerprint in hex."""
        programs = [segment.instructions for segment in self.segments] or [self.instructions]
        return b"".join(_binary(instructions, fingerprint) for instructions in programs)

    def offsets(self) -> list[int]:
        """Return where each segment's header begins, in bytes from the first."""
        found, offset = [], 0
        for segment in self.segments:
            found.append(offset)
            offset += _HEADER_BYTES + len(segment.instructions) * isa.SLOT_BYTES
        return found


@dataclass(frozen=True, kw_only=True)
class Image:
    """What one device's memory is to hold.

    Attributes
    ----------
    stages : list of Stage
        Whose matrices it computes.
    model : WholeModel or None
        What of a whole model it computes; None of layers.
    params : HwParams
        The hardware.
    regions : dict of str to Region
        Where everything lies, by name, in the order of their addresses.
    program : Program
        What is executed.
    tokens : int
        Rows of every vector region.
    """

    stages: list[Stage]
    model: WholeModel | None = None
    params: HwParams
    regions: dict[str, Region]
    program: Program
    tokens: int = 1

    @property
    def memory_bytes(self) -> int:
        """First address beyond the last region."""
        return end_of(self.regions)

    def filled(self) -> list[Region]:
        """Return the regions that weight files hold, in their order there."""
        return [
            *(region for region in self.regions.values() if region.kind == "constants"),
            *(
                self.regions[f"{matrix.name}.{kind}"]
                for stage in self.stages
                for matrix in stage.matrices
                for kind in ("weights", "channel_words")
            ),
            *([self.regions["records"]] if self.program.records else []),
        ]


def image_of_layers(stages: list[Stage], params: HwParams, coding: str, tokens: int) -> Image:
    """Return the image of layers, whose inputs the host fills.

    Raises
    ------
    ValueError
        Where something asked for does not exist, or the hardware cannot take it.
    """
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {tokens}")
    called = coding_called(coding)
    check(stages, params)
    count = slots_of(stages, params, tokens)
    regions = place_layers(stages, params, tokens=tokens, slots=count)
    steps = schedule_layers(stages, regions, params, called, tokens)
    program = Program(instructions=steps, executed=[*enumerate(steps)])
    return Image(stages=stages, params=params, regions=regions, program=program, tokens=tokens)


def image_of_model(
    model: WholeModel,
    params: HwParams,
    coding: str | Mapping[str, str],
    memory: int | None = None,
) -> Image:
    """Return the image of a whole model.

    The memory map is made twice: first to learn how many slots the program has, which depends on
    no address. `coding` is that of all sites, or each one's by its name; `memory` is the bytes that
    there are, by default all that the hardware addresses.

    Raises
    ------
    ValueError
        Where a coding does not exist, or memory has no room.
    """
    codings: Coding | dict[str, Coding]
    if isinstance(coding, str):
        codings = coding_called(coding)
    else:
        codings = {site: coding_called(name) for site, name in coding.items()}

    def laid_out(slots: int) -> tuple[dict[str, Region], Program]:
        regions = place_model(model, params, slots=slots, memory=memory)
        return regions, _looped(model, schedule(model, regions, params, codings), regions)

    _, program = laid_out(slots=0)
    regions, program = laid_out(len(program.instructions))
    records = replace(regions["records"], bytes=len(program.records))
    require_memory({**regions, "records": records}, params, memory)
    if program.records:
        regions["records"] = records
    else:
        del regions["records"]  # the layers do not differ: there is but one
    return Image(stages=model.stages, model=model, params=params, regions=regions, program=program)


def image_of_shard(
    model: WholeModel, params: HwParams, coding: str, memory: int | None = None
) -> Image:
    """Return the image of one of several devices; see `image_of_model`."""
    called = coding_called(coding)

    def laid_out(slots: int) -> tuple[dict[str, Region], Program]:
        regions = place_model(model, params, slots=slots, memory=memory)
        found = segments(model, regions, params, called)
        steps = [step for segment in found for step in segment.instructions]
        executed = [*enumerate(steps)]
        return regions, Program(instructions=steps, executed=executed, segments=tuple(found))

    _, program = laid_out(slots=0)
    headers = (len(program.segments) - 1) * _HEADER_BYTES // isa.SLOT_BYTES  # besides the first
    regions, program = laid_out(len(program.instructions) + headers)
    del regions["records"]  # no program here has a loop
    return Image(stages=model.stages, model=model, params=params, regions=regions, program=program)


def _looped(model: WholeModel, token: Pass, regions: Mapping[str, Region]) -> Program:
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
        replace(
            step,
            fields={**step.fields, "layered": int(differs)},
            tensor=step.tensor.replace(f"{model.layers[0].name}.", LOOPED, 1),
        )
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
        executed=[
            *enumerate(token.embed, 1),
            *(pair for layer in token.layers for pair in enumerate(layer, len(start))),
            *enumerate(token.head, len(ahead) - len(token.head)),
        ],
        records=records,
    )


def _word(step: Instruction) -> int:
    return int.from_bytes(isa.assemble(step.opcode, **step.fields), "little")


def _control(opcode: Opcode, **fields: int) -> Instruction:
    return Instruction(opcode=opcode, fields=fields)


def _binary(instructions: Iterable[Instruction], fingerprint: str) -> bytes:
    slots = [isa.assemble(step.opcode, **step.fields) for step in instructions]
    header = isa.pack(
        isa.HEADER,
        magic=isa.MAGIC,
        slots=len(slots),
        reserved=0,
        fingerprint=int(fingerprint, 16),
    )
    return header + b"".join(slots)
