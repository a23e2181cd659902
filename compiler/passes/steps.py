"""Single instructions of a whole model's program, made of the names of regions."""

import math
from collections.abc import Mapping
from fractions import Fraction

from compiler.passes.lower import Stage
from compiler.passes.place import Region
from compiler.passes.schedule import Instruction, encode_fields, matmul_fields
from compiler.programs.lower import Layer, WholeModel
from compiler.programs.place import cache_layout
from golden.numerics.neuron import Site
from hw.contract.isa import Cache, Coding, Opcode, VectorOp
from hw.contract.params import CACHE_WIDTH, HwParams

__all__ = ["Steps"]

_ELEMENT_BYTES = 4


class Steps:
    """Makes instructions of names: addresses and strides are found here.

    Parameters are those of `compiler.programs.schedule.schedule`.
    """

    def __init__(
        self,
        model: WholeModel,
        regions: dict[str, Region],
        params: HwParams,
        coding: Coding | Mapping[str, Coding],
    ) -> None:
        self.model, self.regions, self.params, self.coding = model, regions, params, coding
        config, self.shard = model.config, model.shard
        group = config.heads // config.kv_heads
        self.heads, self.kv_heads = group * len(self.shard.kv_heads), len(self.shard.kv_heads)
        self.first_head = group * self.shard.kv_heads.start
        self.cache = cache_layout(model, params)
        self.head_bytes = _ELEMENT_BYTES * config.head_dim
        self.row_bytes = params.vector_bytes(model.context)  # of scores and of w
        self.epsilon = max(1, math.floor(Fraction(config.norm_eps) * (1 << 32) + Fraction(1, 2)))
        steepness = math.log2(math.e) / math.sqrt(config.head_dim) * (1 << 24)
        self.steepness = math.floor(steepness + 0.5)

    def stage(self, stage: Stage, source: str, destinations: list[str]) -> list[Instruction]:
        """Encode a vector and apply a stage's matrices to it."""
        stride = self.params.vector_bytes(stage.channels)
        encode = self.encode(
            stage.site, source, self.address(source), stride, 1, stage.channels, stage=stage
        )
        done = [encode]
        for matrix, destination in zip(stage.matrices, destinations, strict=True):
            fields = matmul_fields(
                matrix,
                self.regions,
                self.coding_of(stage.name),
                destination=self.address(destination),
                destination_stride=self.params.vector_bytes(matrix.outputs),
            )
            matmul = Instruction(
                opcode=Opcode.MATMUL,
                fields=fields,
                stage=stage,
                matrix=matrix,
                writes=(destination,),
            )
            done.append(matmul)
        return done

    def encode(
        self,
        site: Site,
        region: str,
        source: int,
        stride: int,
        tokens: int,
        channels: int,
        by_position: int = 0,
        stage: Stage | None = None,
    ) -> Instruction:
        """Return an ENCODE of rows of a region."""
        fields = encode_fields(
            site,
            tokens=tokens,
            channels=channels,
            source=source,
            source_stride=stride,
            by_position=by_position,
        )
        return Instruction(opcode=Opcode.ENCODE, fields=fields, stage=stage, reads=(region,))

    def cache_matmul(
        self, site: str, *, reads: tuple[str, ...], writes: str, **fields: int
    ) -> Instruction:
        """Return a MATMUL whose weights are keys or values."""
        coding = self.coding_of(site).value
        fields |= {"coding": coding, "weight_width": CACHE_WIDTH, "has_bias": 0}
        return Instruction(opcode=Opcode.MATMUL, fields=fields, reads=reads, writes=(writes,))

    def coding_of(self, site: str) -> Coding:
        """Return how the counts of a site become spikes."""
        return self.coding if isinstance(self.coding, Coding) else self.coding[site]

    def norm(self, gain: str, source: str = "x") -> Instruction:
        """Return a NORM of the whole residual stream."""
        hidden = self.model.config.hidden_size
        return self.vector(
            VectorOp.NORM, "norm", source, gain, elements=hidden, constant=self.epsilon
        )

    def add(self, total: str, source: str) -> Instruction:
        """Add the update. Nothing is written where it is read: memory need not keep that order."""
        own = self.shard.hidden
        return self.vector(
            VectorOp.ADD,
            total,
            source,
            "update",
            elements=len(own),
            a_first=own.start,
            destination_first=own.start,
        )

    def vector(
        self,
        operation: VectorOp,
        destination: str,
        a: str,
        b: str | None = None,
        *,
        elements: int,
        a_first: int = 0,
        b_offset: int = 0,
        destination_first: int = 0,
        **fields: int,
    ) -> Instruction:
        """Return a VECTOR on regions; a field that is not given is 0, but for rows and stride.

        `a_first` and `destination_first` are elements into a vector, `b_offset` is bytes.
        """
        fields = {
            "operation": operation.value,
            "rows": 1,
            "elements": elements,
            "stride": self.params.vector_bytes(elements),
            "a": self.address(a) + a_first * _ELEMENT_BYTES,
            "b": 0 if b is None else self.address(b) + b_offset,
            "destination": self.address(destination) + destination_first * _ELEMENT_BYTES,
            **dict.fromkeys(("constant", "a_by_token", "b_by_position", "b_same"), 0),
            **fields,
        }
        reads = (a,) if b is None else (a, b)
        return Instruction(opcode=Opcode.VECTOR, fields=fields, reads=reads, writes=(destination,))

    def store(
        self, layer: Layer, cache: Cache, source: str, codes: str, scales: str, stride: int
    ) -> Instruction:
        """Return a STORE of a layer's keys or values, a row a head."""
        codes, scales = f"{layer.name}.{codes}", f"{layer.name}.{scales}"
        fields = {
            "cache": cache.value,
            "heads": self.kv_heads,
            "channels": self.model.config.head_dim,
            "source": self.address(source),
            "source_stride": self.head_bytes,
            "codes": self.address(codes),
            "codes_stride": stride,
            "scales": self.address(scales),
            "scales_stride": self.cache.scales,
        }
        return Instruction(
            opcode=Opcode.STORE, fields=fields, reads=(source,), writes=(codes, scales)
        )

    def address(self, region: str) -> int:
        """Return where a region begins."""
        return self.regions[region].address
