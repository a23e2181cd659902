"""What the tensors are called that instructions make: as golden calls them, not their buffers."""

from bisect import bisect_right
from collections.abc import Mapping

from compiler.artifact.program import Compiled
from compiler.passes.place import Region
from hw.contract.isa import Cache, VectorOp

__all__ = ["Names", "region_at"]

_SITE_OF_NORM = {"attn_norm": "qkv", "ffn_norm": "gate_up", "final_norm": "head"}
_SITE_OF_BUFFER = {"attention": "o", "act": "down", "rotated_q": "query"}
_ROTATED = {"rotated_q": "q_rotated", "rotated_k": "k_rotated"}
_SUMS = {"between": "attn_residual", "x": "residual"}
_VECTORS = {VectorOp.COPY: "embed", VectorOp.ARGMAX: "tokens"}  # outside of layers


def region_at(compiled: Compiled, address: int) -> Region | None:
    """Return the region that holds an address."""
    regions = list(compiled.regions.values())
    at = bisect_right(regions, address, key=lambda region: region.address) - 1
    region = regions[max(at, 0)]
    return region if 0 <= address - region.address < region.bytes else None


class Names:
    """Follows a program, since what a buffer holds depends on what came before.

    Each method returns the tensor's name, and its row that comes first: a head, or a token.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._gain = ""  # of the last norm
        self._first = 0  # row of the last ENCODE
        self._heads: dict[str, int] = {}  # first one, by buffer of scores or of w

    def encode(self, fields: Mapping[str, int], layer: int | None) -> tuple[str, int]:
        """Name the counts of an ENCODE."""
        region, offset = self._place(fields["source"])
        self._first = offset // max(1, fields["source_stride"])
        if not self._compiled.is_model:
            return f"{region.removesuffix('.input')}.counts", self._first
        if region == "norm":
            site = _SITE_OF_NORM.get(self._gain, region)
        elif region in self._heads:
            site, self._first = "probabilities", self._heads[region]
        else:
            site = _SITE_OF_BUFFER.get(region, region)
        return f"{_of(layer, site)}.counts", self._first

    def matmul(self, fields: Mapping[str, int], layer: int | None) -> tuple[str, int]:
        """Name the results of a MATMUL."""
        weights, _ = self._place(fields["weights"])
        region, offset = self._place(fields["destination"])
        if not self._compiled.is_model:
            return region.removesuffix(".output"), offset // max(1, fields["destination_stride"])
        if weights.endswith(".keys"):
            self._heads[region] = self._first
            return _of(layer, "scores"), self._first
        if weights.endswith(".values"):
            return _of(layer, "attention"), self._first
        name = weights.removesuffix(".weights")
        return ("logits" if name == "lm_head" else name), 0

    def vector(self, fields: Mapping[str, int], layer: int | None) -> tuple[str, int]:
        """Name the results of a VECTOR."""
        operation = VectorOp(fields["operation"])
        region, _ = self._place(fields["destination"])
        if operation is VectorOp.NORM:
            gain, _ = self._place(fields["b"])
            self._gain = gain.rpartition(".")[2]
            return gain, 0
        if operation is VectorOp.SOFTMAX:
            self._heads[region] = self._heads.get(self._place(fields["a"])[0], 0)
            return _of(layer, "w"), self._heads[region]
        if operation is VectorOp.ROTATE:
            return _of(layer, _ROTATED.get(region, region)), 0
        if operation is VectorOp.ADD:
            return _of(layer, _SUMS.get(region, region)), 0
        return _of(layer, _VECTORS.get(operation, region)), 0

    def stored(self, fields: Mapping[str, int], layer: int | None) -> str:
        """Name the codes of a STORE."""
        return _of(layer, Cache(fields["cache"]).name.lower())

    def _place(self, address: int) -> tuple[str, int]:
        region = region_at(self._compiled, address)
        return ("memory", address) if region is None else (region.name, address - region.address)


def _of(layer: int | None, name: str) -> str:
    return name if layer is None else f"layers.{layer}.{name}"
