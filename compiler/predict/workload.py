"""The matrix products of one token, each with the bytes and additions that it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import MATRICES, tensor_shapes
from golden.recipe.recipe import Recipe
from hw.contract.params import CACHE_WIDTH

__all__ = ["Activities", "Activity", "Product", "products"]


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
    """

    silent: float
    spikes: dict[str, float]
    source: str


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
    """

    name: str
    site: str
    channels: int
    outputs: int
    times: int = 1
    sharing: int = 1
    weight_width: int
    activity: Activity

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product."""
        return self.channels * self.outputs * self.times * self.sharing

    @property
    def dense_bytes(self) -> int:
        """Bytes of the matrices."""
        return -(-self.channels * self.outputs * self.times * self.weight_width // 8)

    @property
    def touched_bytes(self) -> float:
        """Bytes of the channels that fire for any of the vectors, as if these were independent."""
        return self.dense_bytes * (1 - self.activity.silent**self.sharing)

    def additions(self, coding: str) -> float:
        """Return the synaptic operations in a coding."""
        return self.macs * self.activity.spikes[coding]


def products(
    config: ModelConfig, recipe: Recipe, activities: Activities, position: int
) -> list[Product]:
    """Return the products of one token at `position`, counted from 0, in the order of their use.

    Parameters
    ----------
    config : ModelConfig
        The model.
    recipe : Recipe
        Bits of its weights.
    activities : callable
        How its sites fire.
    position : int
        Tokens before this one: attention spans ``position + 1``.
    """
    shapes = tensor_shapes(config)
    span = position + 1

    def matrix(name: str, layer: int | None, site: str) -> Product:
        outputs, channels = shapes.get(name, shapes["embed"])  # a tied head is the embedding
        return Product(
            name=name,
            site=site,
            channels=channels,
            outputs=outputs,
            weight_width=recipe.weight_bits(name),
            activity=activities(layer, site),
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
