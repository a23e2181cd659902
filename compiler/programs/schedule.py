"""Pass 4, schedule: what is done for one token, layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.passes.fence import fenced
from compiler.passes.place import Region
from compiler.passes.schedule import Instruction
from compiler.passes.steps import Steps
from compiler.programs.lower import Layer, WholeModel
from hw.contract.isa import Cache, Coding, Opcode, VectorOp
from hw.contract.params import HwParams

__all__ = ["Pass", "Segment", "schedule", "segments"]

_EXCHANGES = ("attention", "between", "act", "x")
"""What the parts of a layer make, in their order: the vectors that all devices need whole."""


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


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Query heads that share their keys and pass the array together."""

    number: int
    kv_head: int
    first: int
    heads: int

    @property
    def buffer(self) -> int:
        """Which of the two buffers of scores and of w is theirs."""
        return self.number % 2


def schedule(
    model: WholeModel,
    regions: dict[str, Region],
    params: HwParams,
    coding: Coding | Mapping[str, Coding],
) -> Pass:
    """Return the instructions of one token.

    Parameters
    ----------
    model : WholeModel
        What is computed.
    regions : dict of str to Region
        Where everything lies (`compiler.programs.place.place`).
    params : HwParams
        The hardware.
    coding : Coding or mapping of str to Coding
        How counts become spikes: everywhere, or by site.
    """
    return _Scheduler(model, regions, params, coding).token()


def segments(
    model: WholeModel,
    regions: dict[str, Region],
    params: HwParams,
    coding: Coding | Mapping[str, Coding],
) -> list[Segment]:
    """Return the same for one of several devices, cut at the exchanges; see `schedule`."""
    return _Scheduler(model, regions, params, coding).segments()


class _Scheduler(Steps):
    """Puts the steps in order."""

    def __init__(
        self,
        model: WholeModel,
        regions: dict[str, Region],
        params: HwParams,
        coding: Coding | Mapping[str, Coding],
    ) -> None:
        super().__init__(model, regions, params, coding)
        self.batches = []
        group = model.config.heads // model.config.kv_heads
        for first in range(0, self.heads, group):
            for part in range(first, first + group, params.tokens):
                batch = _Batch(
                    number=len(self.batches),
                    kv_head=first // group,
                    first=part,
                    heads=min(params.tokens, first + group - part),
                )
                self.batches.append(batch)

    def token(self) -> Pass:
        return Pass(
            embed=self.embed(),
            layers=[
                fenced(step for part in self.parts(layer) for step in part)
                for layer in self.model.layers
            ],
            head=fenced(self.head()),
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
        done = [segment("embed", [token, *self.embed()], "x")]
        for layer in self.model.layers:
            for part, exchange in zip(self.parts(layer), _EXCHANGES, strict=True):
                done.append(segment(f"{layer.name}.{exchange}", fenced(part), exchange))
        return [*done, segment("head", fenced(self.head()), "tokens")]

    def embed(self) -> list[Instruction]:
        return [
            self.vector(
                VectorOp.COPY,
                "x",
                "embed",
                elements=len(self.shard.hidden),
                destination_first=self.shard.hidden.start,
                a_by_token=1,
            )
        ]

    def head(self) -> list[Instruction]:
        rows = len(self.shard.vocabulary)
        return [
            self.norm("final_norm"),
            *self.stage(self.model.head, "norm", ["logits"]),
            self.vector(VectorOp.ARGMAX, "tokens", "logits", elements=rows),
        ]

    def parts(self, layer: Layer) -> list[list[Instruction]]:
        """Return a layer, cut where the next part needs the whole of what this one makes."""
        ffn = self.shard.ffn
        attend = [
            self.norm(f"{layer.name}.attn_norm"),
            *self.stage(layer.qkv, "norm", ["q", "k", "v"]),
            *self.queries_and_keys(layer),
            self.store(layer, Cache.KEY, "rotated_k", "keys", "key_scales", self.cache.keys),
            self.store(layer, Cache.VALUE, "v", "values", "value_scales", self.cache.values),
            *self.attention(layer),
        ]
        project = [*self.stage(layer.o, "attention", ["update"]), self.add("between", "x")]
        swiglu = self.vector(
            VectorOp.SWIGLU,
            "act",
            "gate",
            "up",
            elements=len(ffn),
            destination_first=ffn.start,
        )
        expand = [
            self.norm(f"{layer.name}.ffn_norm", "between"),
            *self.stage(layer.gate_up, "norm", ["gate", "up"]),
            swiglu,
        ]
        contract = [*self.stage(layer.down, "act", ["update"]), self.add("x", "between")]
        return [attend, project, expand, contract]

    def queries_and_keys(self, layer: Layer) -> list[Instruction]:
        """Normalize queries and keys, where the model does, and rotate them."""
        config = self.model.config
        heads = {"q": self.heads, "k": self.kv_heads}
        shape = {"elements": config.head_dim, "stride": self.head_bytes, "b_same": 1}
        done = []
        if config.qk_norm:
            for name, rows in heads.items():
                gain = f"{layer.name}.{name}_norm"
                norm = self.vector(
                    VectorOp.NORM,
                    f"normed_{name}",
                    name,
                    gain,
                    rows=rows,
                    constant=self.epsilon,
                    **shape,
                )
                done.append(norm)
        for name, rows in heads.items():
            source = f"normed_{name}" if config.qk_norm else name
            rotation = self.vector(
                VectorOp.ROTATE,
                f"rotated_{name}",
                source,
                "rope",
                rows=rows,
                b_by_position=1,
                **shape,
            )
            done.append(rotation)
        return done

    def attention(self, layer: Layer) -> list[Instruction]:
        """Attend batch by batch; the softmax of one goes on beside the products of its neighbours.

        Each turn needs one fence, in front of its softmax.
        """
        done = self.scores(layer, self.batches[0])
        for number, batch in enumerate(self.batches):
            done.append(self.softmax(layer, batch))
            if number:
                done += self.outputs(layer, self.batches[number - 1])
            if number + 1 < len(self.batches):
                done += self.scores(layer, self.batches[number + 1])
        return done + self.outputs(layer, self.batches[-1])

    def scores(self, layer: Layer, batch: _Batch) -> list[Instruction]:
        source = self.address("rotated_q") + batch.first * self.head_bytes
        head_dim, kv_head = self.model.config.head_dim, batch.kv_head
        name = layer.name
        return [
            self.encode(layer.query, "rotated_q", source, self.head_bytes, batch.heads, head_dim),
            self.cache_matmul(
                f"{name}.query",
                reads=(f"{name}.keys", f"{name}.key_scales"),
                writes=f"scores.{batch.buffer}",
                strided=1,
                by_position=1,
                outputs=1,
                weights=self.address(f"{name}.keys") + kv_head * self.cache.keys,
                channel_words=self.address(f"{name}.key_scales") + kv_head * self.cache.scales,
                destination=self.address(f"scores.{batch.buffer}"),
                destination_stride=self.row_bytes,
            ),
        ]

    def softmax(self, layer: Layer, batch: _Batch) -> Instruction:
        return self.vector(
            VectorOp.SOFTMAX,
            f"w.{batch.buffer}",
            f"scores.{batch.buffer}",
            f"{layer.name}.value_scales",
            b_offset=batch.kv_head * self.cache.scales,
            rows=batch.heads,
            elements=1,
            stride=self.row_bytes,
            constant=self.steepness,
            b_same=1,
            by_position=1,
        )

    def outputs(self, layer: Layer, batch: _Batch) -> list[Instruction]:
        source = f"w.{batch.buffer}"
        values = f"{layer.name}.values"
        return [
            self.encode(
                layer.probabilities,
                source,
                self.address(source),
                self.row_bytes,
                batch.heads,
                1,
                by_position=1,
            ),
            self.cache_matmul(
                f"{layer.name}.probabilities",
                reads=(values,),
                writes="attention",
                strided=0,
                by_position=0,
                outputs=self.model.config.head_dim,
                weights=self.address(values) + batch.kv_head * self.cache.values,
                channel_words=self.address("value_words"),
                destination=self.address("attention")
                + (self.first_head + batch.first) * self.head_bytes,
                destination_stride=self.head_bytes,
            ),
        ]
