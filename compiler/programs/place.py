"""Pass 3, place: the memory map of a whole model."""

from dataclasses import dataclass

from compiler.passes.place import Region, Wanted, lay_out, matrix_regions
from compiler.programs.lower import WholeModel
from golden.checkpoint.config import ModelConfig
from hw.contract import isa
from hw.contract.params import CACHE_WIDTH, HwParams

__all__ = ["CacheLayout", "cache_layout", "gains", "place", "require_memory"]


@dataclass(frozen=True, kw_only=True)
class CacheLayout:
    """Bytes of one head's keys, its values, and its scale words of either."""

    keys: int
    values: int
    scales: int


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


def place(
    model: WholeModel, params: HwParams, *, slots: int, memory: int | None = None
) -> dict[str, Region]:
    """Return every region by name, in the order of their addresses; `records` come last, empty.

    Of several devices each has its own share of what matrices make, and of the embedding's
    columns; what matrices read is complete everywhere.

    Parameters
    ----------
    model : WholeModel
        What is computed.
    params : HwParams
        The hardware.
    slots : int
        Of the program, after its header.
    memory : int, optional
        Bytes of memory there are; by default all that the hardware addresses.
    """
    config, context, shard = model.config, model.context, model.shard
    hidden, head_dim = config.hidden_size, config.head_dim
    group, kv_heads = config.heads // config.kv_heads, len(shard.kv_heads)

    def vectors(name: str, elements: int, rows: int = 1, kind: str = "vectors") -> Wanted:
        return Wanted(name, kind, rows * params.vector_bytes(elements), elements)

    tokens = params.vector_bytes(context + 1)  # 32-bit words, as elements are
    batch = min(params.tokens, group)
    wanted = [
        Wanted("program", "program", slots * isa.SLOT_BYTES + isa.HEADER.size // 8),
        Wanted("tokens", "tokens", tokens),
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
            wanted.append(Wanted(f"{layer.name}.{name}", "cache", kv_heads * bytes_))
    wanted += [vectors(name, elements, 1, "constants") for name, elements in gains(config).items()]
    for stage in model.stages:
        for matrix in stage.matrices:
            wanted += matrix_regions(matrix, params)
    regions = lay_out([*wanted, Wanted("records", "records", 0)])
    require_memory(regions, params, memory)
    return regions


def require_memory(regions: dict[str, Region], params: HwParams, memory: int | None) -> None:
    """Raise ValueError naming the first region that memory has no room for."""
    limit = 1 << params.axi_addr_width
    if memory is not None:
        limit = min(limit, memory)
    for region in regions.values():
        if region.address + region.bytes > limit:
            raise ValueError(
                f"buffer {region.name} needs {region.bytes:,} bytes, but of {limit:,} bytes of "
                f"memory only {max(0, limit - region.address):,} are left: give more memory, a "
                "shorter context or fewer bits of a weight"
            )
