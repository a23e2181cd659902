"""Pass 4, schedule: instructions in the order they take effect, for layers or for one token."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from compiler.passes.attention import Attention
from compiler.passes.fence import fenced
from compiler.passes.instruction import Instruction
from compiler.passes.lower import Stage
from compiler.passes.model import Layer, WholeModel
from compiler.passes.place import Region
from compiler.passes.steps import Codings, Steps
from golden.checkpoint.config import ModelConfig
from hw.contract.isa import Opcode, VectorOp
from hw.contract.params import HwParams

__all__ = [
    "Pass",
    "Segment",
    "rounds",
    "schedule",
    "schedule_layers",
    "segments",
    "slots_of",
    "slots_of_layer",
]

_EXCHANGES = ("attention", "between", "act", "x")
"""What a layer makes that all devices need whole, in its order: it is cut there."""
_SLOTS_OF_LAYER, _SLOTS_OF_BATCH = 20, 5  # beside attention; of a batch of query heads in it


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What is done for one token.

    Attributes
    ----------
    embed : list of Instruction
        The token's vector.
    layers : list of list of Instruction
        Each layer's, all alike but for what differs between layers.
    head : list of Instruction
        The next token, where it is not the host's.
    """

    embed: list[Instruction]
    layers: list[list[Instruction]]
    head: list[Instruction]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one of several devices does between two exchanges.

    Attributes
    ----------
    name : str
        ``embed``, ``layers.N.`` and what the segment makes, or ``head``.
    instructions : list of Instruction
        To the END.
    exchange : str
        The region of which each device then has its own part: a vector, or ``tokens``, where each
        has put the likeliest of its own.
    """

    name: str
    instructions: list[Instruction]
    exchange: str


def rounds(tokens: int, params: HwParams) -> list[tuple[int, int]]:
    """Return first token and tokens of each round: batches that the array takes at once."""
    step = params.tokens
    return [(first, min(step, tokens - first)) for first in range(0, tokens, step)]


def slots_of(stages: list[Stage], params: HwParams, tokens: int) -> int:
    """Return how many instructions `schedule_layers` makes."""
    return sum(1 + len(stage.matrices) for stage in stages) * len(rounds(tokens, params)) + 1


def slots_of_layer(config: ModelConfig, params: HwParams) -> int:
    """Return how many instructions `schedule` makes of a layer, without making them."""
    group = config.heads // config.kv_heads
    batches = config.kv_heads * len(rounds(group, params))
    return _SLOTS_OF_LAYER + 2 * config.qk_norm + _SLOTS_OF_BATCH * batches


def schedule_layers(
    stages: list[Stage],
    regions: Mapping[str, Region],
    params: HwParams,
    coding: Codings,
    tokens: int,
) -> list[Instruction]:
    """Return ``for stage: for round: ENCODE; for matrix: MATMUL``, then END.

    No fence is needed: the host has filled every input, and each output has a place of its own.

    Parameters
    ----------
    stages : list of Stage
        What is computed.
    regions : mapping of str to Region
        Where everything lies (`compiler.passes.place.place_layers`).
    params, coding
        As for `schedule`.
    tokens : int
        Rows of every vector region; more than `params.tokens` take several rounds over the weights.
    """
    steps = Steps(regions, params, coding)
    done = []
    for stage in stages:
        outputs = [f"{matrix.name}.output" for matrix in stage.matrices]
        for first, count in rounds(tokens, params):
            done += steps.stage(stage, f"{stage.name}.input", outputs, first=first, tokens=count)
    return [*done, Instruction(opcode=Opcode.END, fields={})]


def schedule(
    model: WholeModel, regions: Mapping[str, Region], params: HwParams, coding: Codings
) -> Pass:
    """Return the instructions of one token.

    Parameters
    ----------
    model : WholeModel
        What is computed.
    regions : mapping of str to Region
        Where everything lies (`compiler.passes.place.place_model`).
    params : HwParams
        The hardware.
    coding : Coding or mapping of str to Coding
        How counts become spikes: everywhere, or by site.
    """
    return _Token(model, regions, params, coding).whole()


def segments(
    model: WholeModel, regions: Mapping[str, Region], params: HwParams, coding: Codings
) -> list[Segment]:
    """Return the same for one of several devices, cut at the exchanges; see `schedule`."""
    return _Token(model, regions, params, coding).segments()


class _Token(Attention):
    """Puts the steps of a token in order."""

    def whole(self) -> Pass:
        return Pass(
            embed=self._embed(),
            layers=[
                fenced(step for steps in self._layer(layer) for step in steps)
                for layer in self.model.layers
            ],
            head=fenced(self._head()),
        )

    def segments(self) -> list[Segment]:
        def segment(name: str, steps: list[Instruction], exchange: str) -> Segment:
            end = Instruction(opcode=Opcode.END, fields={})
            return Segment(name=name, instructions=[*steps, end], exchange=exchange)

        token = Instruction(
            opcode=Opcode.TOKEN,
            fields={
                "tokens": self.address("tokens"),
                "vocabulary": self.model.config.vocab_size,
            },
        )
        done = [segment("embed", [token, *self._embed()], "x")]
        for layer in self.model.layers:
            for steps, exchange in zip(self._layer(layer), _EXCHANGES, strict=True):
                done.append(segment(f"{layer.name}.{exchange}", fenced(steps), exchange))
        return [*done, segment("head", fenced(self._head()), "tokens")]

    def _embed(self) -> list[Instruction]:
        return [
            self.vector(
                VectorOp.COPY,
                "embed",
                "x",
                "embed",
                elements=len(self.shard.hidden),
                destination_first=self.shard.hidden.start,
                a_by_token=1,
            )
        ]

    def _head(self) -> list[Instruction]:
        rows = len(self.shard.vocabulary)
        encode, matmul = self.stage(self.model.head, "norm", ["logits"])
        return [
            self._norm("final_norm"),
            encode,
            replace(matmul, tensor="logits"),
            self.vector(VectorOp.ARGMAX, "tokens", "tokens", "logits", elements=rows),
        ]

    def _layer(self, layer: Layer) -> list[list[Instruction]]:
        """Return a layer, cut where the next part needs the whole of what this one makes."""
        name, ffn = layer.name, self.shard.ffn
        attend = [
            self._norm(f"{name}.attn_norm"),
            *self.stage(layer.qkv, "norm", ["q", "k", "v"]),
            *self.queries_and_keys(layer),
            *self.stores(layer),
            *self.attend(layer),
        ]
        project = [
            *self.stage(layer.o, "attention", ["update"]),
            self._add(f"{name}.attn_residual", "between", "x"),
        ]
        swiglu = self.vector(
            VectorOp.SWIGLU,
            f"{name}.act",
            "act",
            "gate",
            "up",
            elements=len(ffn),
            destination_first=ffn.start,
        )
        expand = [
            self._norm(f"{name}.ffn_norm", "between"),
            *self.stage(layer.gate_up, "norm", ["gate", "up"]),
            swiglu,
        ]
        contract = [
            *self.stage(layer.down, "act", ["update"]),
            self._add(f"{name}.residual", "x", "between"),
        ]
        return [attend, project, expand, contract]

    def _norm(self, gain: str, source: str = "x") -> Instruction:
        """Return a NORM of the whole residual stream."""
        hidden = self.model.config.hidden_size
        return self.vector(
            VectorOp.NORM, gain, "norm", source, gain, elements=hidden, constant=self.epsilon
        )

    def _add(self, tensor: str, total: str, source: str) -> Instruction:
        """Add the update. Nothing is written where it is read: memory need not keep that order."""
        own = self.shard.hidden
        return self.vector(
            VectorOp.ADD,
            tensor,
            total,
            source,
            "update",
            elements=len(own),
            a_first=own.start,
            destination_first=own.start,
        )
