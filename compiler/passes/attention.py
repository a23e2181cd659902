"""Attention in instructions: queries, keys, the cache, scores, softmax and the sum of values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from compiler.passes.instruction import Instruction
from compiler.passes.model import Layer, WholeModel
from compiler.passes.place import Region, cache_layout
from compiler.passes.steps import ELEMENT_BYTES, Codings, Steps, group_fields
from golden.numerics.vector import norm_epsilon
from hw.contract.isa import Cache, Opcode, VectorOp
from hw.contract.params import CACHE_WIDTH, HwParams

__all__ = ["Attention"]


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


class Attention(Steps):
    """Makes the instructions of a layer between q, k, v and the input of o.

    `model` is what is computed; the other parameters are those of `Steps`.
    """

    def __init__(
        self,
        model: WholeModel,
        regions: Mapping[str, Region],
        params: HwParams,
        coding: Codings,
    ) -> None:
        super().__init__(regions, params, coding)
        self.model, self.shard = model, model.shard
        config = model.config
        self.epsilon = norm_epsilon(config.norm_eps)
        self.cache = cache_layout(model, params)
        group = config.heads // config.kv_heads
        self.heads, self.kv_heads = group * len(self.shard.kv_heads), len(self.shard.kv_heads)
        self._first_head = group * self.shard.kv_heads.start
        self._head_bytes = ELEMENT_BYTES * config.head_dim
        self._row_bytes = params.vector_bytes(model.context)  # of scores and of w
        steepness = math.log2(math.e) / math.sqrt(config.head_dim) * (1 << 24)
        self._steepness = math.floor(steepness + 0.5)
        self._batches: list[_Batch] = []
        for first in range(0, self.heads, group):
            for head in range(first, first + group, params.tokens):
                batch = _Batch(
                    number=len(self._batches),
                    kv_head=first // group,
                    first=head,
                    heads=min(params.tokens, first + group - head),
                )
                self._batches.append(batch)

    def queries_and_keys(self, layer: Layer) -> list[Instruction]:
        """Normalize queries and keys, where the model does, and rotate them."""
        config = self.model.config
        heads = {"q": self.heads, "k": self.kv_heads}
        shape = {"elements": config.head_dim, "stride": self._head_bytes, "b_same": 1}
        done = []
        if config.qk_norm:
            for name, rows in heads.items():
                gain = f"{layer.name}.{name}_norm"
                norm = self.vector(
                    VectorOp.NORM,
                    gain,
                    f"normed_{name}",
                    name,
                    gain,
                    rows=rows,
                    constant=self.epsilon,
                    **shape,
                )
                done.append(norm)
        for name, rows in heads.items():
            rotation = self.vector(
                VectorOp.ROTATE,
                f"{layer.name}.{name}_rotated",
                f"rotated_{name}",
                f"normed_{name}" if config.qk_norm else name,
                "rope",
                rows=rows,
                b_by_position=1,
                **shape,
            )
            done.append(rotation)
        return done

    def stores(self, layer: Layer) -> list[Instruction]:
        """Put the keys and the values of a position into the cache, a row a head."""
        return [
            self._store(layer, Cache.KEY, "rotated_k", "keys", "key_scales", self.cache.keys),
            self._store(layer, Cache.VALUE, "v", "values", "value_scales", self.cache.values),
        ]

    def attend(self, layer: Layer) -> list[Instruction]:
        """Attend batch by batch; the softmax of one goes on beside the products of its neighbours.

        Each turn needs one fence, in front of its softmax.
        """
        done = self._scores(layer, self._batches[0])
        for number, batch in enumerate(self._batches):
            done.append(self._softmax(layer, batch))
            if number:
                done += self._outputs(layer, self._batches[number - 1])
            if number + 1 < len(self._batches):
                done += self._scores(layer, self._batches[number + 1])
        return done + self._outputs(layer, self._batches[-1])

    def _scores(self, layer: Layer, batch: _Batch) -> list[Instruction]:
        keys, scales = f"{layer.name}.keys", f"{layer.name}.key_scales"
        scores, site = f"scores.{batch.buffer}", f"{layer.name}.query"
        return [
            self.encode(
                layer.query,
                "rotated_q",
                site,
                row=self._first_head + batch.first,
                offset=batch.first * self._head_bytes,
                stride=self._head_bytes,
                tokens=batch.heads,
                channels=self.model.config.head_dim,
            ),
            self._cache_matmul(
                site,
                f"{layer.name}.scores",
                batch,
                reads=(keys, scales),
                writes=scores,
                strided=1,
                by_position=1,
                outputs=1,
                weights=self.address(keys) + batch.kv_head * self.cache.keys,
                channel_words=self.address(scales) + batch.kv_head * self.cache.scales,
                destination=self.address(scores),
                destination_stride=self._row_bytes,
            ),
        ]

    def _softmax(self, layer: Layer, batch: _Batch) -> Instruction:
        return self.vector(
            VectorOp.SOFTMAX,
            f"{layer.name}.w",
            f"w.{batch.buffer}",
            f"scores.{batch.buffer}",
            f"{layer.name}.value_scales",
            row=self._first_head + batch.first,
            b_offset=batch.kv_head * self.cache.scales,
            rows=batch.heads,
            elements=1,
            stride=self._row_bytes,
            constant=self._steepness,
            b_same=1,
            by_position=1,
        )

    def _outputs(self, layer: Layer, batch: _Batch) -> list[Instruction]:
        values, site = f"{layer.name}.values", f"{layer.name}.probabilities"
        first = self._first_head + batch.first
        return [
            self.encode(
                layer.probabilities,
                f"w.{batch.buffer}",
                site,
                row=first,
                offset=0,
                stride=self._row_bytes,
                tokens=batch.heads,
                channels=1,
                by_position=1,
            ),
            self._cache_matmul(
                site,
                f"{layer.name}.attention",
                batch,
                reads=(values,),
                writes="attention",
                strided=0,
                by_position=0,
                outputs=self.model.config.head_dim,
                weights=self.address(values) + batch.kv_head * self.cache.values,
                channel_words=self.address("value_words"),
                destination=self.address("attention") + first * self._head_bytes,
                destination_stride=self._head_bytes,
            ),
        ]

    def _cache_matmul(
        self,
        site: str,
        tensor: str,
        batch: _Batch,
        *,
        reads: tuple[str, ...],
        writes: str,
        **fields: int,
    ) -> Instruction:
        """Return a MATMUL whose weights are keys or values."""
        coding = self.coding_of(site).value
        fields |= {"coding": coding, "weight_width": CACHE_WIDTH, "has_bias": 0}
        fields |= group_fields(None)
        return Instruction(
            opcode=Opcode.MATMUL,
            fields=fields,
            tensor=tensor,
            row=self._first_head + batch.first,
            reads=reads,
            writes=(writes,),
        )

    def _store(
        self, layer: Layer, cache: Cache, source: str, codes: str, scales: str, stride: int
    ) -> Instruction:
        codes, scales = f"{layer.name}.{codes}", f"{layer.name}.{scales}"
        fields = {
            "cache": cache.value,
            "heads": self.kv_heads,
            "channels": self.model.config.head_dim,
            "source": self.address(source),
            "source_stride": self._head_bytes,
            "codes": self.address(codes),
            "codes_stride": stride,
            "scales": self.address(scales),
            "scales_stride": self.cache.scales,
        }
        return Instruction(
            opcode=Opcode.STORE,
            fields=fields,
            tensor=f"{layer.name}.{cache.name.lower()}",
            row=self.shard.kv_heads.start,
            reads=(source,),
            writes=(codes, scales),
        )
