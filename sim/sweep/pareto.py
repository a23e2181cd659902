"""Which rows no other row beats in both of two costs."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["FRONTS", "front", "fronts"]

FRONTS = {
    "cycles_luts": ("all_luts", "cycles_per_token"),
    "cycles_joules": ("joules_per_token", "cycles_per_token"),
}
"""The pairs of costs, by name."""

Row = Mapping[str, Any]


def front(costs: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the pairs that no other pair beats, by the first cost.

    A pair beats another where it is no larger in both costs, and smaller in one. Equal pairs stand
    together.
    """
    found: list[int] = []
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        if not found or costs[index][1] < costs[found[-1]][1] or costs[index] == costs[found[-1]]:
            found.append(index)
    return found


def fronts(rows: Sequence[Row], costs: tuple[str, str]) -> dict[str, list[int]]:
    """Return the front of each recipe, as indices into `rows`.

    Recipes have fronts of their own: they differ in what the model says. All else, the coding
    included, gives the same bits. Rows that lack one of the costs stand on none.
    """
    first, second = costs
    of_recipe: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if all(row.get(name) is not None for name in costs):
            of_recipe.setdefault(str(row["recipe"]), []).append(index)
    found = {}
    for recipe, indices in of_recipe.items():
        pairs = [(float(rows[index][first]), float(rows[index][second])) for index in indices]
        found[recipe] = [indices[at] for at in front(pairs)]
    return found
