"""How a recipe holds each matrix: codes with a scale for each row, or on the grid of its file."""

from collections.abc import Callable
from typing import NamedTuple

from golden.checkpoint.readers import StoredGrid
from golden.console.errors import CheckpointError
from golden.numerics.groups import GroupedWeight, Groups, group_rows, held_shift
from golden.recipe.recipe import Recipe, locate

__all__ = ["WeightForm", "grid_rows", "weight_form"]


class WeightForm(NamedTuple):
    """How a matrix is held.

    Attributes
    ----------
    bits : int
        Of a code.
    groups : Groups or None
        Of its groups; None where each row has one scale.
    """

    bits: int
    groups: Groups | None


def weight_form(
    recipe: Recipe, matrix: str, grid: Callable[[str], StoredGrid | None]
) -> WeightForm:
    """Return how a recipe holds a matrix.

    Parameters
    ----------
    recipe : Recipe
        Which.
    matrix : str
        Its canonical name.
    grid : callable
        Returns the grid that a matrix is on in its file, if it is on one.
    """
    settings = recipe.settings(*locate(matrix))
    stored = None if settings.weights == "rows" else grid(matrix)
    if stored is None:
        return WeightForm(settings.weight_bits, None)
    groups = Groups(
        size=stored.group,
        width=settings.scale_bits,
        offsets=stored.offsets,
        offset_shift=held_shift(stored.offset_shift, settings.scale_bits),
    )
    return WeightForm(stored.bits, groups)


def grid_rows(
    name: str, grid: StoredGrid, first: int, end: int, scale_bits: int, path: object = None
) -> GroupedWeight:
    """Read rows of the matrix `name` of a checkpoint at `path`, if that is known, on their grid.

    Raises
    ------
    CheckpointError
        Where its scales are not finite or too large; it says where the weights are.
    """
    try:
        return group_rows(grid.read(first, end), scale_bits, first)
    except ValueError as error:
        where = name if path is None else f"{path}: {name}"
        raise CheckpointError(
            f"{where}: {error}: the checkpoint may be damaged, get it again, or choose a recipe of "
            "weights in rows"
        ) from None
