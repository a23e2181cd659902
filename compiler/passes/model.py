"""Pass 1, lower: a whole model to its layers, stages with the vector unit's work between them."""

from dataclasses import dataclass, replace

from compiler.passes.lower import Stage
from compiler.passes.lower import lower as lower_stages
from compiler.passes.shard import Shard, sharded_stage, whole
from compiler.passes.tile import check
from golden.checkpoint.config import ModelConfig
from golden.model.prepare import Grids, no_grid
from golden.numerics.neuron import Site
from golden.recipe.recipe import Recipe
from hw.contract.isa import INSTRUCTIONS, Opcode
from hw.contract.params import CACHE_COUNT, CACHE_WIDTH, VECTOR_WIDTH, HwParams

__all__ = ["Layer", "WholeModel", "lower", "sharded"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a model.

    Attributes
    ----------
    name : str
        ``layers.N``.
    qkv, o, gate_up, down : Stage
        Its encoded inputs, and the matrices that spend them.
    query, probabilities : golden.numerics.neuron.Site
        How attention encodes.
    """

    name: str
    qkv: Stage
    o: Stage
    gate_up: Stage
    down: Stage
    query: Site
    probabilities: Site


@dataclass(frozen=True, kw_only=True)
class WholeModel:
    """A model as it is compiled.

    Attributes
    ----------
    config : ModelConfig
        The model.
    context : int
        Positions that there is room for.
    layers : tuple of Layer
        In order.
    head : Stage
        The output head.
    shard : Shard
        What of it the device at hand holds; the stages have these output channels only.
    """

    config: ModelConfig
    context: int
    layers: tuple[Layer, ...]
    head: Stage
    shard: Shard

    @property
    def stages(self) -> list[Stage]:
        """All stages, in the order of their use."""
        of_layers = [(x.qkv, x.o, x.gate_up, x.down) for x in self.layers]
        return [*(stage for stages in of_layers for stage in stages), self.head]


def lower(
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    context: int | None = None,
    grids: Grids = no_grid,
) -> WholeModel:
    """Return a model's layers.

    Parameters
    ----------
    config : ModelConfig
        The model.
    recipe : Recipe
        How each site encodes, and the bits of its weights.
    params : HwParams
        The hardware.
    context : int, optional
        Positions to make room for; by default all that model and hardware have.
    grids : callable
        Returns the grid that a matrix is on, for recipes that keep it.

    Raises
    ------
    ValueError
        Where recipe, context or hardware do not fit the model.
    """
    names = [f"{kind}{i}" for i in range(config.layers) for kind in ("attn", "mlp")]
    lowered = lower_stages(config, [*names, "lm_head"], recipe, None, grids)
    stages = {stage.name: stage for stage in lowered}
    check(list(stages.values()), params)
    _check(config, params)
    if context is None:
        context = min(config.max_positions, params.max_channels)
    _check_context(config, params, context)
    layers = []
    for i in range(config.layers):
        name = f"layers.{i}"
        parts = {part: stages[f"{name}.{part}"] for part in ("qkv", "o", "gate_up", "down")}
        query = recipe.site(i, "query", config.head_dim)
        probabilities = recipe.site(i, "probabilities", context)
        layers.append(Layer(name=name, **parts, query=query, probabilities=probabilities))
    return WholeModel(
        config=config,
        context=context,
        layers=tuple(layers),
        head=stages["head"],
        shard=whole(config),
    )


def sharded(model: WholeModel, shard: Shard) -> WholeModel:
    """Return what one of several devices computes of a model."""

    def part(stage: Stage) -> Stage:
        return sharded_stage(stage, model.config, shard)

    layers = (
        replace(
            layer,
            qkv=part(layer.qkv),
            o=part(layer.o),
            gate_up=part(layer.gate_up),
            down=part(layer.down),
        )
        for layer in model.layers
    )
    return replace(model, layers=tuple(layers), head=part(model.head), shard=shard)


def _check(config: ModelConfig, params: HwParams) -> None:
    """Refuse heads that the hardware cannot attend with."""
    head_dim, lanes = config.head_dim, params.axi_data_width // VECTOR_WIDTH
    if params.max_count != CACHE_COUNT:
        raise ValueError(
            f"keys and values count to {CACHE_COUNT}, but this hardware only to "
            f"{params.max_count} (max_count): choose another preset"
        )
    if CACHE_WIDTH not in params.weight_widths:
        raise ValueError(
            f"keys and values have {CACHE_WIDTH} bits, which this hardware does not take as "
            "weights (weight_widths): choose another preset"
        )
    if head_dim > params.tile_outputs:
        raise ValueError(
            f"a head has {head_dim} channels, but a tile of this hardware only "
            f"{params.tile_outputs} (lanes * banks): choose a larger preset"
        )
    if head_dim % lanes:
        raise ValueError(
            f"a head has {head_dim} channels, which are no whole memory words of {lanes} "
            "(axi_data_width): choose a preset with a narrower memory port"
        )
    most = (1 << INSTRUCTIONS[Opcode.VECTOR]["rows"].width) - 1
    if config.heads > most:
        raise ValueError(f"heads must be at most {most}, not {config.heads}")


def _check_context(config: ModelConfig, params: HwParams, context: int) -> None:
    if not 1 <= context <= config.max_positions:
        raise ValueError(
            f"context must be 1 to {config.max_positions}, the positions of the model, not "
            f"{context}"
        )
    if context > params.max_channels:
        raise ValueError(
            f"context must be at most {params.max_channels} positions on this hardware "
            f"(max_channels), not {context}"
        )
    windows = [w for i in range(config.layers) if (w := config.window(i)) is not None]
    if windows and context > min(windows):
        raise ValueError(
            f"context must be at most {min(windows)}, not {context}: beyond its sliding window a "
            "layer would have to forget positions"
        )
