"""Single instructions of a program, made of the names of regions and tensors."""

from collections.abc import Mapping, Sequence

from compiler.passes.instruction import Instruction
from compiler.passes.lower import Stage
from compiler.passes.place import Region
from golden.numerics.groups import OFFSETS, Groups
from golden.numerics.neuron import Site
from hw.contract.isa import Coding, Opcode, Rule, VectorOp
from hw.contract.params import GROUPS, SCALE_WIDTHS, HwParams

__all__ = ["ELEMENT_BYTES", "Codings", "Steps", "group_fields"]

ELEMENT_BYTES = 4
"""Of a vector: Q15.16."""
Codings = Coding | Mapping[str, Coding]
"""How counts become spikes: everywhere, or by site."""


def group_fields(groups: Groups | None) -> dict[str, int]:
    """Return what a MATMUL says of its weights' groups."""
    if groups is None:
        groups = Groups(size=0, width=SCALE_WIDTHS[-1], offsets="none")
    return {
        "group": 0 if not groups.size else 1 + GROUPS.index(groups.size),
        "scale_width_log2": groups.width.bit_length() - 1,
        "offsets": OFFSETS.index(groups.offsets),
        "offset_shift": groups.offset_shift,
    }


class Steps:
    """Makes instructions of names: addresses and strides are found here.

    Parameters
    ----------
    regions : mapping of str to Region
        Where everything lies.
    params : HwParams
        The hardware.
    coding : Coding or mapping of str to Coding
        How counts become spikes: everywhere, or by site.
    """

    def __init__(self, regions: Mapping[str, Region], params: HwParams, coding: Codings) -> None:
        self.regions, self.params, self.coding = regions, params, coding

    def stage(
        self,
        stage: Stage,
        source: str,
        destinations: Sequence[str],
        *,
        first: int = 0,
        tokens: int = 1,
    ) -> list[Instruction]:
        """Encode rows of a vector from `first` on and apply a stage's matrices to them."""
        stride = self.params.vector_bytes(stage.channels)
        done = [
            self.encode(
                stage.site,
                source,
                stage.name,
                row=first,
                offset=first * stride,
                stride=stride,
                tokens=tokens,
                channels=stage.channels,
                stage=stage,
            )
        ]
        for matrix, destination in zip(stage.matrices, destinations, strict=True):
            stride = self.params.vector_bytes(matrix.outputs)
            fields = {
                "coding": self.coding_of(stage.name).value,
                "weight_width": matrix.weight_width,
                "has_bias": int(matrix.has_bias),
                "strided": 0,
                **group_fields(matrix.groups),
                "outputs": matrix.outputs,
                "weights": self.address(f"{matrix.name}.weights"),
                "channel_words": self.address(f"{matrix.name}.channel_words"),
                "destination": self.address(destination) + first * stride,
                "destination_stride": stride,
            }
            matmul = Instruction(
                opcode=Opcode.MATMUL,
                fields=fields,
                tensor=matrix.name,
                row=first,
                stage=stage,
                matrix=matrix,
                writes=(destination,),
            )
            done.append(matmul)
        return done

    def encode(
        self,
        site: Site,
        source: str,
        name: str,
        *,
        row: int,
        offset: int,
        stride: int,
        tokens: int,
        channels: int,
        by_position: int = 0,
        stage: Stage | None = None,
    ) -> Instruction:
        """Return an ENCODE, by the site of a name, of rows of a region from byte `offset` on."""
        fields = {
            "rule": Rule[site.rule.upper()].value,
            "max_count": site.max_count,
            "multiplier": site.multiplier,
            "divisor": site.divisor,
            "peak": site.peak,
            "dead_zone": site.dead_zone,
            "shifts": site.shifts,
            "largest_exponent": 0,
            "exponents": 0,
            "tokens": tokens,
            "channels": channels,
            "source": self.address(source) + offset,
            "source_stride": stride,
            "by_position": by_position,
        }
        if stage is not None and stage.exponents:
            fields["largest_exponent"] = stage.largest_exponent
            fields["exponents"] = self.address(f"{stage.name}.exponents")
        return Instruction(
            opcode=Opcode.ENCODE,
            fields=fields,
            tensor=f"{name}.counts",
            row=row,
            stage=stage,
            reads=(source,),
        )

    def vector(
        self,
        operation: VectorOp,
        tensor: str,
        destination: str,
        a: str,
        b: str | None = None,
        *,
        elements: int,
        row: int = 0,
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
            "a": self.address(a) + a_first * ELEMENT_BYTES,
            "b": 0 if b is None else self.address(b) + b_offset,
            "destination": self.address(destination) + destination_first * ELEMENT_BYTES,
            **dict.fromkeys(("constant", "a_by_token", "b_by_position", "b_same"), 0),
            **fields,
        }
        return Instruction(
            opcode=Opcode.VECTOR,
            fields=fields,
            tensor=tensor,
            row=row,
            reads=(a,) if b is None else (a, b),
            writes=(destination,),
        )

    def coding_of(self, site: str) -> Coding:
        """Return how the counts of a site become spikes."""
        return self.coding if isinstance(self.coding, Coding) else self.coding[site]

    def address(self, region: str) -> int:
        """Return where a region begins."""
        return self.regions[region].address
