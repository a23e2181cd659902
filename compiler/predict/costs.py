"""What each instruction of a token asks of memory, array and vector unit."""

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.passes.instruction import Instruction
from compiler.passes.program import Program
from compiler.predict.counts import vector_reads
from compiler.predict.workload import Activities, Activity
from golden.numerics.codings import time_steps_for
from golden.numerics.neuron import MAX_COUNT
from hw.contract import isa
from hw.contract.isa import Cache, Coding, Opcode, VectorOp
from hw.contract.params import GROUPS, HwParams

__all__ = ["Cost", "costs"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One instruction as it is executed for one token.

    Attributes
    ----------
    slot : int
        Of the program.
    layer : int or None
        None before and after the layers.
    opcode : Opcode
        What it does.
    name : str
        ``layers.N.gate`` ..., ``layers.N.keys``, ``layers.N.values``, a site, or an operation.
    fence : bool
        Whether it waits for all before it.
    tokens : int
        Vectors, rows or heads.
    row_words : int
        Memory words of one of them.
    words : float
        Memory words that are read.
    weight_words, dense_words : float
        Of them, row segments; and what these were with no channel silent.
    steps : float
        Of the array.
    additions : float
        Synaptic operations.
    last_words : int
        Words of results that are written when the last tile is done.
    channels : int
        K of a product, elements of a vector.
    """

    slot: int
    layer: int | None
    opcode: Opcode
    name: str
    fence: bool
    tokens: int = 1
    row_words: int = 0
    words: float = 0
    weight_words: float = 0
    dense_words: float = 0
    steps: float = 0
    additions: float = 0
    last_words: int = 0
    channels: int = 0


def costs(
    program: Program,
    params: HwParams,
    activities: Activities,
    position: int,
) -> list[Cost]:
    """Return the instructions of the token at `position`, head included, with what each costs.

    Parameters
    ----------
    program : Program
        Its program.
    params : HwParams
        The hardware.
    activities : callable
        How sites fire.
    position : int
        Tokens before this one.
    """
    maker = _Costs(params, activities, position)
    return [maker.cost(slot, layer, step) for slot, layer, step in _by_layer(program)]


def _by_layer(program: Program) -> Iterator[tuple[int, int | None, Instruction]]:
    """Yield slot, layer and instruction of all that is done for a token."""
    (loop,) = (i for i, s in enumerate(program.instructions) if s.opcode is Opcode.LAYERS)
    body = range(loop + 1, loop + 1 + program.instructions[loop].fields["slots"])
    layer = -1
    for slot, step in program.executed:
        layer += slot == body.start
        yield slot, layer if slot in body else None, step


class _Costs:
    def __init__(self, params: HwParams, activities: Activities, position: int) -> None:
        self.params, self.activities = params, activities
        self.position = position
        self.encoded: tuple[int, int, Activity] | None = None  # tokens, channels, how they fire

    def words(self, elements: int) -> int:
        """Return the memory words of a vector."""
        return self.params.vector_bytes(elements) // self.params.axi_bytes

    def cost(self, slot: int, layer: int | None, step: Instruction) -> Cost:
        grows = self.position * step.fields.get("by_position", 0)
        common = {
            "slot": slot,
            "layer": layer,
            "opcode": step.opcode,
            "fence": bool(step.fields.get("fence")),
        }
        make = {
            Opcode.ENCODE: self._encode,
            Opcode.MATMUL: self._matmul,
            Opcode.VECTOR: self._vector,
            Opcode.STORE: self._store,
        }[step.opcode]
        return Cost(**common, **make(layer, step, grows))

    def _encode(self, layer: int | None, step: Instruction, grows: int) -> dict:
        tokens, channels = step.fields["tokens"], step.fields["channels"] + grows
        site = step.tensor.removesuffix(".counts")
        self.encoded = tokens, channels, self.activities(layer, site.rpartition(".")[2])
        row_words = self.words(channels)
        exponents = 0
        if step.fields["largest_exponent"]:
            exponents = self.params.exponent_bytes(channels) // self.params.axi_bytes
        return {
            "name": site,
            "tokens": tokens,
            "row_words": row_words,
            "words": tokens * row_words + exponents,
            "channels": channels,
        }

    def _matmul(self, layer: int | None, step: Instruction, grows: int) -> dict:
        assert self.encoded is not None  # every MATMUL follows an ENCODE
        p, (tokens, channels, activity) = self.params, self.encoded
        coding = Coding(step.fields["coding"]).name.lower()
        outputs, width = step.fields["outputs"] + grows, step.fields["weight_width"]
        tiles = p.tiles(outputs)
        row_words = sum(p.row_words(n, width) for n in tiles)
        row_beats = sum(p.row_beats(n, width) for n in tiles)
        groups, scale_words, of_group = 0, 0, 1
        if step.fields["group"]:
            of_group = GROUPS[step.fields["group"] - 1]
            bits = (1 << step.fields["scale_width_log2"]) << (step.fields["offsets"] != 0)
            groups = -(-channels // of_group)
            scale_words = sum(p.scale_words(n, bits) for n in tiles)
        fires = 1 - activity.silent**tokens if p.skip_silent else 1.0
        events = channels * fires
        some = 1 - activity.silent ** (tokens * of_group) if p.skip_silent else 1.0
        scales = groups * some * scale_words  # of groups that have an event
        # A step is taken where any of the vectors fires in it; they fire independently, and as
        # often in one step as in another.
        steps = 1.0
        if p.array == "spike":
            of_one, most = (
                activity.spikes[coding],
                time_steps_for(MAX_COUNT, coding, activity.shifts),
            )
            of_any = most * (1 - (1 - of_one / most) ** tokens)
            steps = max(1.0, of_any / fires) if fires else 0.0
        channel_words = self.words(outputs) * len(isa.CHANNEL_WORDS[bool(step.fields["has_bias"])])
        per_value = activity.spikes[coding] if p.array == "spike" else 1 - activity.silent
        return {
            "name": step.matrix.name if step.matrix else step.reads[0],
            "tokens": tokens,
            "row_words": row_words,
            "words": events * row_words + scales + channel_words,
            "weight_words": events * row_words + scales,
            "dense_words": channels * row_words + groups * scale_words,
            "steps": events * row_beats * steps,
            "additions": tokens * channels * outputs * per_value,
            "last_words": tokens * self.words(tiles[-1]),
            "channels": channels,
        }

    def _vector(self, layer: int | None, step: Instruction, grows: int) -> dict:
        operation = VectorOp(step.fields["operation"])
        elements, rows = step.fields["elements"] + grows, step.fields["rows"]
        row_words = self.words(elements)
        name = operation.name.lower()
        return {
            "name": name if layer is None else f"layers.{layer}.{name}",
            "tokens": rows,
            "row_words": row_words,
            "words": rows * row_words * vector_reads(operation),
            "channels": elements,
        }

    def _store(self, layer: int | None, step: Instruction, grows: int) -> dict:
        heads, channels = step.fields["heads"], step.fields["channels"]
        kind = Cache(step.fields["cache"]).name.lower()
        return {
            "name": f"layers.{layer}.store_{kind}",
            "tokens": heads,
            "row_words": self.words(channels),
            "words": heads * self.words(channels),
            "channels": channels,
        }
