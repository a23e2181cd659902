"""Pass 1, lower: names of layers to stages, each a site and the matrices that share its spikes."""

import re
from dataclasses import dataclass

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import MATRICES, bias_of, site_of, tensor_shapes
from golden.model.prepare import Grids, no_grid
from golden.numerics.groups import Groups
from golden.numerics.neuron import Site
from golden.recipe.forms import weight_form
from golden.recipe.recipe import Recipe, locate

__all__ = ["ALL_LAYERS", "LAYER_KINDS", "Matrix", "Stage", "lower", "parse_rows"]

ALL_LAYERS = "all"
"""What a whole model is asked for by, in place of layers."""

LAYER_KINDS = {
    "mlp": ("gate", "up", "down"),
    "attn": ("q", "k", "v", "o"),
    **{name: (name,) for name in MATRICES},
}
"""Matrices of each kind of layer, in the order they are applied; `lm_head` is apart."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A weight matrix, or a run of its output channels.

    Attributes
    ----------
    name : str
        Its canonical name (`golden.checkpoint.names`).
    channels : int
        Input channels K.
    first_row, outputs : int
        First output channel of the model's matrix that is computed, and how many are.
    weight_width : int
        Bits of a weight.
    has_bias : bool
        Whether each output channel has a bias.
    groups : Groups or None
        Of its weights (numerics, section 4); None where each row has one scale.
    """

    name: str
    channels: int
    first_row: int
    outputs: int
    weight_width: int
    has_bias: bool
    groups: Groups | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One ENCODE and the MATMULs that spend its spikes.

    Attributes
    ----------
    name : str
        Canonical name of the site (`golden.checkpoint.names.site_of`).
    channels : int
        Channels of a vector.
    site : golden.numerics.neuron.Site
        How vectors are encoded.
    matrices : tuple of Matrix
        In the order of their instructions.
    exponents : bytes
        One of each channel (numerics, section 2); none where all are 0.
    """

    name: str
    channels: int
    site: Site
    matrices: tuple[Matrix, ...]
    exponents: bytes = b""

    @property
    def largest_exponent(self) -> int:
        """The largest exponent of a channel."""
        return max(self.exponents, default=0)


def lower(
    config: ModelConfig,
    layers: list[str],
    recipe: Recipe,
    rows: str | None = None,
    grids: Grids = no_grid,
) -> list[Stage]:
    """Return the stages of `layers`, in the order asked for.

    Parameters
    ----------
    config : ModelConfig
        The model.
    layers : list of str
        ``mlpN``, ``attnN``, a single matrix (``gateN`` ...) or ``lm_head``.
    recipe : Recipe
        How each site encodes, and the bits of its weights.
    rows : str, optional
        Output channels of a single matrix, as `parse_rows` takes them.
    grids : callable
        Returns the grid that a matrix is on, for recipes that keep it.

    Raises
    ------
    ValueError
        Where a layer does not exist, a matrix is asked for twice, `rows` does not fit, or the
        recipe fits neither the model nor hardware.
    """
    recipe.require_layers(config.layers)
    recipe.require_static()
    names = [name for layer in layers for name in _matrix_names(layer, config.layers)]
    if not names:
        raise ValueError("layers must name at least one layer, such as mlp0")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"layers must name each matrix once, but {twice} is named twice")
    if rows is not None and len(names) > 1:
        raise ValueError(f"rows needs a single matrix, such as down0, not {','.join(layers)}")
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(site_of(name), []).append(name)

    shapes = tensor_shapes(config)
    stages = []
    for site, members in groups.items():
        of_members = [shapes.get(name, shapes["embed"]) for name in members]  # of a tied head
        channels, matrices = of_members[0][1], []
        for name, (outputs, _) in zip(members, of_members, strict=True):
            first, end = (0, outputs) if rows is None else parse_rows(rows, outputs)
            form = weight_form(recipe, name, grids)
            matrix = Matrix(
                name=name,
                channels=channels,
                first_row=first,
                outputs=end - first,
                weight_width=form.bits,
                has_bias=bias_of(name, config) is not None,
                groups=form.groups,
            )
            matrices.append(matrix)
        stage = Stage(
            name=site,
            channels=channels,
            site=recipe.site(*locate(members[0]), channels),
            matrices=tuple(matrices),
            exponents=_exponents(recipe, site, channels),
        )
        stages.append(stage)
    return stages


def _exponents(recipe: Recipe, site: str, channels: int) -> bytes:
    found = recipe.exponents_of(site, channels)
    return bytes(found.tolist()) if found is not None and found.any() else b""


def parse_rows(text: str, outputs: int) -> tuple[int, int]:
    """Return first and end of a slice of `outputs` rows: ``A:B``, or a count from the first on."""
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", text)
    first, end = (int(match[1] or 0), int(match[2])) if match else (0, 0)
    if not first < end <= outputs:
        raise ValueError(
            f"rows must be A:B with 0 <= A < B <= {outputs}, or a count up to that, not {text!r}"
        )
    return first, end


def _matrix_names(layer: str, layers: int) -> list[str]:
    if layer == "lm_head":
        return [layer]
    match = re.fullmatch(r"([a-z]+?)(0|[1-9]\d*)", layer)
    if not match or match[1] not in LAYER_KINDS or int(match[2]) >= layers:
        kinds = ", ".join(f"{kind}N" for kind in LAYER_KINDS)
        raise ValueError(
            f"layer must be one of {kinds} with N from 0 to {layers - 1}, or lm_head, not {layer!r}"
        )
    return [f"layers.{match[2]}.{name}" for name in LAYER_KINDS[match[1]]]
