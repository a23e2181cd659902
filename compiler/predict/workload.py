"""The matrix products of one token, each with the bytes and additions that it needs."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import MATRICES, matrices, tensor_shapes
from golden.model.prepare import Grids, no_grid
from golden.numerics.groups import Groups
from golden.recipe.forms import weight_form
from golden.recipe.recipe import Recipe
from hw.contract.params import CACHE_WIDTH

__all__ = ["Activities", "Activity", "Product", "products", "usual_width"]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How the channels of a site fire: means over tokens.

    Attributes
    ----------
    silent : float
        Share of a token's channels that do not fire.
    spikes : dict of str to float
        Spikes of a channel, silent ones included, by coding: ``unary``, ``bitwise``, ``csd``.
    source : str
        Where the figures are from, for people.
    shifts : int
        By how many doublings the thresholds of its groups may differ.
    """

    silent: float
    spikes: dict[str, float]
    source: str
    shifts: int = 0


Activities = Callable[[int | None, str], Activity]
"""Returns the activity of a site, by its layer (None for the head) and its kind."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """One matrix product as often as a token needs it.

    Attributes
    ----------
    name : str
        Canonical name of the matrix; or ``layers.N.keys``, ``layers.N.values``: the cache's.
    site : str
        Kind of the site whose spikes drive it.
    channels, outputs : int
        K and N.
    times : int
        Matrices of this shape: 1, or the kv heads.
    sharing : int
        Vectors that share what is fetched: 1, or the query heads of a kv head.
    weight_width : int
        Bits of a weight, or of a code of the cache.
    activity : Activity
        Of one of the vectors.
    groups : Groups or None
        Of the weights (numerics, section 4); None where each row has one scale.
    """

    name: str
    site: str
    channels: int
    outputs: int
    times: int = 1
    sharing: int = 1
    weight_width: int
    activity: Activity
    groups: Groups | None = None

    @property
    def scale_groups(self) -> int:
        """Groups of input channels; 0 where each row has one scale."""
        return -(-self.channels // self.groups.size) if self.groups else 0

    @property
    def scale_bytes(self) -> int:
        """Bytes of the scales of all groups."""
        bits = self.groups.bits if self.groups else 0
        return -(-self.scale_groups * bits * self.outputs * self.times // 8)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product."""
        return self.channels * self.outputs * self.times * self.sharing

    @property
    def dense_bytes(self) -> int:
        """Bytes of the matrices, scales of groups among them."""
        codes = -(-self.channels * self.outputs * self.times * self.weight_width // 8)
        return codes + self.scale_bytes

    @property
    def touched_bytes(self) -> float:
        """Bytes of the channels that fire for any of the vectors, as if these were independent.

        And of the scales of the groups that have one.
        """
        silent = self.activity.silent**self.sharing
        codes = self.dense_bytes - self.scale_bytes
        return codes * (1 - silent) + self.scale_bytes * self.group_fires(silent)

    def group_fires(self, silent: float) -> float:
        """Return the share of groups with a channel that fires, of which `silent` do not."""
        return 1 - silent**self.groups.size if self.groups else 0.0

    def additions(self, coding: str) -> float:
        """Return the synaptic operations in a coding."""
        return self.macs * self.activity.spikes[coding]


def usual_width(config: ModelConfig, recipe: Recipe, grids: Grids = no_grid) -> int:
    """Return the bits of most of a model's weights."""
    shapes = tensor_shapes(config)
    weights: Counter[int] = Counter()
    for name in matrices(config):
        rows, channels = shapes.get(name, shapes["embed"])
        weights[weight_form(recipe, name, grids).bits] += rows * channels
    return weights.most_common(1)[0][0]


def products(
    config: ModelConfig,
    recipe: Recipe,
    activities: Activities,
    position: int,
    grids: Grids = no_grid,
) -> list[Product]:
    """Return the products of one token at `position`, counted from 0, in the order of their use.

    Parameters
    ----------
    config : ModelConfig
        The model.
    recipe : Recipe
        How its weights are held.
    activities : callable
        How its sites fire.
    position : int
        Tokens before this one: attention spans ``position + 1``.
    grids : callable
        Returns the grid that a matrix is on, for recipes that keep it.
    """
    shapes = tensor_shapes(config)
    span = position + 1

    def matrix(name: str, layer: int | None, site: str) -> Product:
        outputs, channels = shapes.get(name, shapes["embed"])  # a tied head is the embedding
        form = weight_form(recipe, name, grids)
        return Product(
            name=name,
            site=site,
            channels=channels,
            outputs=outputs,
            weight_width=form.bits,
            activity=activities(layer, site),
            groups=form.groups,
        )

    def cache(layer: int, kind: str, site: str) -> Product:
        seen = min(span, config.window(layer) or span)
        shape = (config.head_dim, seen) if kind == "keys" else (seen, config.head_dim)
        return Product(
            name=f"layers.{layer}.{kind}",
            site=site,
            channels=shape[0],
            outputs=shape[1],
            times=config.kv_heads,
            sharing=config.heads // config.kv_heads,
            weight_width=CACHE_WIDTH,
            activity=activities(layer, site),
        )

    found = []
    for layer in range(config.layers):
        for kind, site in MATRICES.items():
            if kind == "o":
                found.append(cache(layer, "keys", "query"))
                found.append(cache(layer, "values", "probabilities"))
            found.append(matrix(f"layers.{layer}.{kind}", layer, site))
    return [*found, matrix("lm_head", None, "head")]
