"""The spike-driven form of every matrix of a model, which `golden.model.llama` applies."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import bias_of, site_of
from golden.checkpoint.readers import StoredGrid
from golden.numerics.accumulation import accumulate, accumulate_groups
from golden.numerics.fixed import from_fixed, to_fixed
from golden.numerics.groups import GroupedWeight
from golden.numerics.neuron import Encoded, Site, encode_vectors
from golden.numerics.requantization import requantize
from golden.numerics.weights import QuantizedWeight, quantize_rows
from golden.recipe.forms import grid_rows, weight_form
from golden.recipe.recipe import Recipe, locate

__all__ = ["SpikingLinear", "SpikingMatrix"]

_BLOCK_ELEMENTS = 1 << 20  # accumulators worked on at once: some 10 MB a temporary


@dataclass(frozen=True)
class SpikingMatrix:
    """A matrix of a model as the hardware holds it.

    Attributes
    ----------
    name : str
        Its canonical name.
    site : Site
        How its input is encoded.
    dead_quantile : float
        Share of each token's channels silenced at run time; 0 for anything hardware runs.
    weight : QuantizedWeight or GroupedWeight
        Codes (N, K), and scales of rows or of groups.
    bias : Tensor or None
        Q15.16, int32, (N,).
    exponents : Tensor or None
        Of the channels of its input, int8, (K,).
    """

    name: str
    site: Site
    dead_quantile: float
    weight: QuantizedWeight | GroupedWeight
    bias: Tensor | None
    exponents: Tensor | None = None

    def encode(self, x: Tensor) -> Encoded:
        """Encode Q15.16 vectors, int32, (tokens, K), that are divided by the exponents already."""
        return encode_vectors(x, self.site, self.dead_quantile, self.exponents)

    def accumulate(self, encoded: Encoded) -> Tensor:
        """Return the accumulators Y, int64, (tokens, N)."""
        if isinstance(self.weight, GroupedWeight):
            return accumulate_groups(encoded.spikes, self.weight)
        return accumulate(encoded.spikes, self.weight.codes)

    def requantize(self, y: Tensor, encoded: Encoded) -> Tensor:
        """Return the outputs of accumulators Y, Q15.16, int32, (tokens, N)."""
        return requantize(y, encoded.v, self.weight, self.bias)

    def apply(self, encoded: Encoded) -> Tensor:
        """Return the outputs of encoded vectors, Q15.16, int32, (tokens, N), a block at a time."""
        outputs = len(self.weight.codes)
        step = max(1, _BLOCK_ELEMENTS // max(1, len(encoded.counts)))
        blocks = [self.rows(n, n + step) for n in range(0, outputs, step)]
        return torch.cat([b.requantize(b.accumulate(encoded), encoded) for b in blocks], dim=1)

    def rows(self, start: int, stop: int) -> "SpikingMatrix":
        """Return the part of output channels `start` up to, not including, `stop`."""
        bias = None if self.bias is None else self.bias[start:stop]
        return replace(self, weight=self.weight.rows(start, stop), bias=bias)


class SpikingLinear:
    """Every matrix of a model by spikes: what `golden.model.llama.Model` takes as its `linear`.

    Vectors come and go in float32 and are Q15.16 in between; a matrix is quantized when it is
    first needed, and kept.

    Parameters
    ----------
    config : ModelConfig
        The model.
    tensor : callable
        Returns a tensor by its canonical name: a checkpoint's `tensor`.
    recipe : Recipe
        How its layers are made spike-driven.
    grid : callable, optional
        Returns the grid of a matrix by its canonical name, or None: a checkpoint's `grid`. Without
        it, matrices are on none.
    observe : callable, optional
        Called with the name of a site and the `Encoded` batch of each vector encoded there.

    Raises
    ------
    RecipeError
        If the recipe does not fit the model.
    """

    def __init__(
        self,
        config: ModelConfig,
        tensor: Callable[[str], Tensor],
        recipe: Recipe,
        observe: Callable[[str, Encoded], None] | None = None,
        grid: Callable[[str], StoredGrid | None] = lambda name: None,
    ) -> None:
        recipe.require_layers(config.layers)
        self.config, self.tensor, self.recipe, self.observe = config, tensor, recipe, observe
        self.grid = grid
        self._matrices: dict[str, SpikingMatrix] = {}
        self._latest: tuple[Tensor, Encoded] | None = None  # the vectors encoded last

    def matrix(self, name: str) -> SpikingMatrix:
        """Return a matrix by its canonical name, such as `layers.3.q` or `lm_head`."""
        if name not in self._matrices:
            layer, site = locate(name)
            bias = bias_of(name, self.config)
            weight = self._weight(name)
            channels = weight.codes.shape[1]
            self._matrices[name] = SpikingMatrix(
                name=name,
                site=self.recipe.site(layer, site, channels),
                dead_quantile=self.recipe.dead_quantile(layer, site),
                weight=weight,
                bias=None if bias is None else to_fixed(self.tensor(bias)),
                exponents=self.recipe.exponents_of(site_of(name), channels),
            )
        return self._matrices[name]

    def _weight(self, name: str) -> QuantizedWeight | GroupedWeight:
        form = weight_form(self.recipe, name, self.grid)
        if form.groups is None:
            return quantize_rows(name, self.tensor(name), form.bits)
        grid = self.grid(name)
        assert grid is not None  # it has the groups
        return grid_rows(name, grid, 0, self.tensor(name).shape[0], form.groups.width)

    def set_recipe(self, recipe: Recipe) -> None:
        """Go on with a recipe that differs in nothing but how sites encode: weights are kept."""
        self.recipe, self._latest = recipe, None
        for name, matrix in self._matrices.items():
            layer, kind = locate(name)
            site = recipe.site(layer, kind, matrix.weight.codes.shape[1])
            self._matrices[name] = replace(matrix, site=site)

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        """Return W x + b, (tokens, outputs), by spikes; see `golden.model.llama.Linear`."""
        matrix = self.matrix(name)
        if self._latest is None or x is not self._latest[0]:  # a site's matrices share one encoding
            self._latest = x, matrix.encode(to_fixed(x))
            if self.observe is not None:
                self.observe(site, self._latest[1])
        return from_fixed(matrix.apply(self._latest[1])).float()
