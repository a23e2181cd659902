"""Pass 4, schedule: the program's instructions, in the order they take effect."""

from dataclasses import dataclass

from compiler.passes.lower import Matrix, Stage
from compiler.passes.place import Region
from golden.numerics.neuron import Site
from hw.contract.isa import Coding, Opcode, Rule
from hw.contract.params import HwParams

__all__ = [
    "Instruction",
    "encode_fields",
    "instruction_count",
    "matmul_fields",
    "rounds",
    "schedule",
]


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, and what it stands for.

    Attributes
    ----------
    opcode : Opcode
        What it does.
    fields : dict
        Its fields by name, for `hw.contract.isa.assemble`.
    stage : Stage or None
        Whose it is; None for END.
    matrix : Matrix or None
        The matrix of a MATMUL.
    reads, writes : tuple of str
        Regions whose contents other instructions of the program make, or need.
    """

    opcode: Opcode
    fields: dict[str, int]
    stage: Stage | None = None
    matrix: Matrix | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def rounds(tokens: int, params: HwParams) -> list[tuple[int, int]]:
    """Return first token and tokens of each round: batches that the array takes at once."""
    step = params.tokens
    return [(first, min(step, tokens - first)) for first in range(0, tokens, step)]


def instruction_count(stages: list[Stage], params: HwParams, tokens: int) -> int:
    """Return how many instructions `schedule` makes."""
    each_round = sum(1 + len(stage.matrices) for stage in stages)
    return each_round * -(-tokens // params.tokens) + 1


def schedule(
    stages: list[Stage],
    regions: dict[str, Region],
    params: HwParams,
    *,
    coding: Coding,
    tokens: int,
) -> list[Instruction]:
    """Return the instructions: ``for stage: for round: ENCODE; for matrix: MATMUL``, then END.

    Parameters
    ----------
    stages : list of Stage
        What is computed.
    regions : dict of str to Region
        Where everything lies (`compiler.passes.place.place`).
    params : HwParams
        The hardware.
    coding : Coding
        How counts become spikes.
    tokens : int
        Rows of every vector region; more than `params.tokens` take several rounds over the weights.
    """
    instructions = []
    for stage in stages:
        for first, count in rounds(tokens, params):
            instructions.append(_encode(stage, regions, params, first, count))
            for matrix in stage.matrices:
                instructions.append(_matmul(stage, matrix, regions, params, coding, first))
    return [*instructions, Instruction(opcode=Opcode.END, fields={})]


def _encode(
    stage: Stage, regions: dict[str, Region], params: HwParams, first: int, count: int
) -> Instruction:
    stride = params.vector_bytes(stage.channels)
    fields = encode_fields(
        stage.site,
        tokens=count,
        channels=stage.channels,
        source=regions[f"{stage.name}.input"].address + first * stride,
        source_stride=stride,
    )  # without a fence: the host has filled every input
    reads = (f"{stage.name}.input",)
    return Instruction(opcode=Opcode.ENCODE, fields=fields, stage=stage, reads=reads)


def _matmul(
    stage: Stage,
    matrix: Matrix,
    regions: dict[str, Region],
    params: HwParams,
    coding: Coding,
    first: int,
) -> Instruction:
    stride, output = params.vector_bytes(matrix.outputs), f"{matrix.name}.output"
    fields = matmul_fields(
        matrix,
        regions,
        coding,
        destination=regions[output].address + first * stride,
        destination_stride=stride,
    )
    return Instruction(
        opcode=Opcode.MATMUL, fields=fields, stage=stage, matrix=matrix, writes=(output,)
    )


def encode_fields(site: Site, **place: int) -> dict[str, int]:
    """Return the fields of an ENCODE at a site; `place` are those that the site does not set."""
    return {
        "rule": Rule[site.rule.upper()].value,
        "max_count": site.max_count,
        "multiplier": site.multiplier,
        "divisor": site.divisor,
        "peak": site.peak,
        "dead_zone": site.dead_zone,
        **place,
    }


def matmul_fields(
    matrix: Matrix,
    regions: dict[str, Region],
    coding: Coding,
    *,
    destination: int,
    destination_stride: int,
) -> dict[str, int]:
    """Return the fields of a MATMUL of a matrix of the model."""
    return {
        "coding": coding.value,
        "weight_width": matrix.weight_width,
        "has_bias": int(matrix.has_bias),
        "strided": 0,
        "outputs": matrix.outputs,
        "weights": regions[f"{matrix.name}.weights"].address,
        "channel_words": regions[f"{matrix.name}.channel_words"].address,
        "destination": destination,
        "destination_stride": destination_stride,
    }
