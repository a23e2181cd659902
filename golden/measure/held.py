"""What a model's weights take as a recipe holds them, and what of that a token fetches."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.names import matrices, site_of
from golden.recipe.recipe import Recipe, locate

__all__ = ["Held", "held"]


@dataclass
class Held:
    """Bits of a model's matrices, the head's too.

    A silent channel's codes stay unfetched. The scales of groups are fetched in any case; those of
    rows are not counted.

    Attributes
    ----------
    channels : dict of str to int
        By site, how many it has.
    row_bits : dict of str to int
        By site, bits of the codes that one channel feeds.
    scale_bits : int
        Bits of the scales of all groups.
    weights : int
        How many weights there are.
    """

    channels: dict[str, int] = field(default_factory=dict)
    row_bits: dict[str, int] = field(default_factory=dict)
    scale_bits: int = 0
    weights: int = 0

    @property
    def bits(self) -> int:
        """Bits of all codes and scales."""
        codes = sum(self.channels[site] * bits for site, bits in self.row_bits.items())
        return codes + self.scale_bits

    def skipped(self, silent: Mapping[str, float]) -> float:
        """Return the share of all bits that a token with so many silent channels a site leaves."""
        return sum(silent[site] * bits for site, bits in self.row_bits.items()) / self.bits

    def fetched(self, silent: Mapping[str, float]) -> float:
        """Return the bits that such a token fetches, over 8 for each weight."""
        return self.bits * (1 - self.skipped(silent)) / (8 * self.weights)


def held(checkpoint: Checkpoint, recipe: Recipe) -> Held:
    """Return what the matrices of a checkpoint take, which a recipe is for and prepared."""
    found = Held()
    for name in matrices(checkpoint.config):
        site, settings = site_of(name), recipe.settings(*locate(name))
        stored = "embed" if name == "lm_head" and checkpoint.config.tied_head else name
        outputs, channels = checkpoint.shape(stored)
        grid = None if settings.weights == "rows" else checkpoint.grid(name)
        bits = settings.weight_bits if grid is None else grid.bits
        found.channels[site] = channels
        found.row_bits[site] = found.row_bits.get(site, 0) + outputs * bits
        found.weights += outputs * channels
        if grid is not None:
            of_group = settings.scale_bits * (1 if grid.offsets == "none" else 2)
            found.scale_bits += outputs * channels // grid.group * of_group
    return found
