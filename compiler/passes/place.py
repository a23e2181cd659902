"""Pass 3, place: give the program, every vector, every matrix its own region of memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from compiler.passes.lower import Matrix, Stage
from compiler.passes.model import WholeModel
from compiler.passes.tile import tile, tile_bytes
from golden.checkpoint.config import ModelConfig
from hw.contract import isa
from hw.contract.params import CACHE_WIDTH, HwParams

__all__ = [
    "REGION_ALIGNMENT",
    "CacheLayout",
    "Region",
    "cache_layout",
    "channel_word_bytes",
    "end_of",
    "gains",
    "place_layers",
    "place_model",
    "require_memory",
    "weight_bytes",
]

REGION_ALIGNMENT = 4096
"""Bytes; no two regions share a memory word, and AXI's 4 KiB boundaries are where they seem."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A named run of memory.

    Attributes
    ----------
    name : str
        ``program``, or a site or matrix with what of it lies here: ``layers.0.gate.weights``.
    kind : str
        ``program``, ``weights``, ``channel_words``, ``input`` or ``output``; in a whole model also
        ``records``, ``tokens``, ``constants``, ``vectors`` or ``cache``.
    address, bytes : int
        Where it begins, and its length.
    channels : int
        Elements of one row, where it holds vectors; 0 for the others.
    """

    name: str
    kind: str
    address: int
    bytes: int
    channels: int = 0


class _Wanted(NamedTuple):
    """A region that has no address yet; see `Region`."""

    name: str
    kind: str
    bytes: int
    channels: int = 0


@dataclass(frozen=True, kw_only=True)
class CacheLayout:
    """Bytes of one head's keys, its values, and its scale words of either."""

    keys: int
    values: int
    scales: int


def weight_bytes(matrix: Matrix, params: HwParams) -> int:
    """Return the bytes of all row segments of `matrix`, and of the scales of its groups."""
    last = tile(matrix, params)[-1]
    return last.offset + tile_bytes(matrix, last)


def channel_word_bytes(matrix: Matrix, params: HwParams) -> int:
    """Return the bytes of all channel words of `matrix`, padded to whole memory words."""
    return params.vector_bytes(matrix.outputs) * len(isa.CHANNEL_WORDS[matrix.has_bias])


def cache_layout(model: WholeModel, params: HwParams) -> CacheLayout:
    """Return how far apart the heads of a layer's cache lie; see ``docs/compiled.md``."""
    head_dim = model.config.head_dim
    tiles = len(params.tiles(model.context))
    return CacheLayout(
        keys=tiles * head_dim * params.row_bytes(params.tile_outputs, CACHE_WIDTH),
        values=model.context * params.row_bytes(head_dim, CACHE_WIDTH),
        scales=params.vector_bytes(model.context),
    )


def gains(config: ModelConfig) -> dict[str, int]:
    """Return the gains of a model's norms by name, with their elements."""
    found = {}
    for i in range(config.layers):
        found[f"layers.{i}.attn_norm"] = found[f"layers.{i}.ffn_norm"] = config.hidden_size
        if config.qk_norm:
            found[f"layers.{i}.q_norm"] = found[f"layers.{i}.k_norm"] = config.head_dim
    return found | {"final_norm": config.hidden_size}


def place_layers(
    stages: list[Stage], params: HwParams, *, tokens: int, slots: int
) -> dict[str, Region]:
    """Return the regions of layers by name, in the order of their addresses.

    The host fills the inputs, and finds the outputs apart from them.

    Parameters
    ----------
    stages : list of Stage
        What is computed.
    params : HwParams
        The hardware.
    tokens : int
        Rows of every vector region.
    slots : int
        Of the program, after its header.

    Raises
    ------
    ValueError
        Where a region ends beyond what the memory port can address.
    """
    wanted = [_program(slots)]
    for stage in stages:
        bytes_ = tokens * params.vector_bytes(stage.channels)
        wanted.append(_Wanted(f"{stage.name}.input", "input", bytes_, stage.channels))
        wanted += _exponents(stage, params)
        for matrix in stage.matrices:
            output = tokens * params.vector_bytes(matrix.outputs)
            wanted += [
                *_of_matrix(matrix, params),
                _Wanted(f"{matrix.name}.output", "output", output, matrix.outputs),
            ]
    regions = _lay_out(wanted)
    require_memory(regions, params, None, "compile fewer layers")
    return regions


def place_model(
    model: WholeModel, params: HwParams, *, slots: int, memory: int | None = None
) -> dict[str, Region]:
    """Return the regions of a whole model by name, as `place_layers`; `records` are last, empty.

    Of several devices each has its own share of what matrices make, and of the embedding's
    columns; what matrices read is complete everywhere. `memory` is the bytes that there are; by
    default all that the hardware addresses.
    """
    config, context, shard = model.config, model.context, model.shard
    hidden, head_dim = config.hidden_size, config.head_dim
    group, kv_heads = config.heads // config.kv_heads, len(shard.kv_heads)

    def vectors(name: str, elements: int, rows: int = 1, kind: str = "vectors") -> _Wanted:
        return _Wanted(name, kind, rows * params.vector_bytes(elements), elements)

    tokens = params.vector_bytes(context + 1)  # 32-bit words, as elements are
    batch = min(params.tokens, group)
    wanted = [
        _program(slots),
        _Wanted("tokens", "tokens", tokens),
        vectors("embed", len(shard.hidden), config.vocab_size, "constants"),
        vectors("rope", head_dim, context, "constants"),
        vectors("value_words", head_dim, kind="constants"),
        vectors("x", hidden),
        vectors("norm", hidden),
        vectors("q", group * kv_heads * head_dim),
        vectors("k", kv_heads * head_dim),
        *(
            vectors(f"{stage}_{name}", heads * head_dim)
            for stage in (("normed", "rotated") if config.qk_norm else ("rotated",))
            for name, heads in (("q", group * kv_heads), ("k", kv_heads))
        ),
        vectors("v", kv_heads * head_dim),
        *(vectors(f"scores.{i}", context, batch) for i in range(2)),
        *(vectors(f"w.{i}", context, batch) for i in range(2)),
        vectors("attention", config.heads * head_dim),
        vectors("update", len(shard.hidden)),
        vectors("between", hidden),
        vectors("gate", len(shard.ffn)),
        vectors("up", len(shard.ffn)),
        vectors("act", config.ffn_size),
        vectors("logits", len(shard.vocabulary)),
    ]
    cache = cache_layout(model, params)
    for layer in model.layers:
        for name, bytes_ in (
            ("keys", cache.keys),
            ("key_scales", cache.scales),
            ("values", cache.values),
            ("value_scales", cache.scales),
        ):
            wanted.append(_Wanted(f"{layer.name}.{name}", "cache", kv_heads * bytes_))
    wanted += [vectors(name, elements, 1, "constants") for name, elements in gains(config).items()]
    for stage in model.stages:
        wanted += _exponents(stage, params)
        for matrix in stage.matrices:
            wanted += _of_matrix(matrix, params)
    regions = _lay_out([*wanted, _Wanted("records", "records", 0)])
    require_memory(regions, params, memory)
    return regions


def require_memory(
    regions: Mapping[str, Region],
    params: HwParams,
    memory: int | None,
    remedy: str = "give more memory, a shorter context or fewer bits of a weight",
) -> None:
    """Raise ValueError naming the first region that memory has no room for, and a remedy."""
    limit = 1 << params.axi_addr_width
    if memory is not None:
        limit = min(limit, memory)
    for region in regions.values():
        if region.address + region.bytes > limit:
            raise ValueError(
                f"buffer {region.name} needs {region.bytes:,} bytes, but of {limit:,} bytes of "
                f"memory only {max(0, limit - region.address):,} are left: {remedy}"
            )


def end_of(regions: Mapping[str, Region]) -> int:
    """Return the first address beyond the last region."""
    last = [*regions.values()][-1]
    return last.address + last.bytes


def _program(slots: int) -> _Wanted:
    return _Wanted("program", "program", slots * isa.SLOT_BYTES + isa.HEADER.size // 8)


def _exponents(stage: Stage, params: HwParams) -> list[_Wanted]:
    """Return the region of a stage's exponents, where it has some."""
    if not stage.exponents:
        return []
    bytes_ = params.exponent_bytes(stage.channels)
    return [_Wanted(f"{stage.name}.exponents", "constants", bytes_)]


def _of_matrix(matrix: Matrix, params: HwParams) -> list[_Wanted]:
    """Return the regions of a matrix's contents."""
    words = channel_word_bytes(matrix, params)
    return [
        _Wanted(f"{matrix.name}.weights", "weights", weight_bytes(matrix, params)),
        _Wanted(f"{matrix.name}.channel_words", "channel_words", words),
    ]


def _lay_out(wanted: Iterable[_Wanted]) -> dict[str, Region]:
    """Return regions by name, one after the other, each aligned."""
    regions, address = {}, 0
    for region in wanted:
        regions[region.name] = Region(**region._asdict(), address=address)
        address += -(-region.bytes // REGION_ALIGNMENT) * REGION_ALIGNMENT
    return regions
