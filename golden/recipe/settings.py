"""The settings of one site in a recipe: their ranges, and the integer parameters they make."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from golden.numerics.fixed import is_integer
from golden.numerics.groups import SCALE_BITS
from golden.numerics.neuron import LARGEST_SHIFTS, MAX_COUNT, RULES, Site
from golden.numerics.weights import LARGEST_CODE
from hw.contract.params import FRACTION_BITS

__all__ = ["WEIGHTS", "SiteSettings"]

WEIGHTS = ("rows", "native", "auto")
"""Where codes come from: a scale of its own for each row, or the grid of the file."""


@dataclass(frozen=True)
class SiteSettings:
    """The settings of one site, as the recipe's file names them.

    Attributes
    ----------
    weights : str
        ``rows``: the site's matrices are quantized, with a scale for each row. ``native``: they
        stay on the grid of their file; a matrix that is on none there is quantized, unless it was
        quantized in a way that has no grid here. ``auto``: then too.
    weight_bits : int
        Bits of the weights of matrices that are quantized.
    scale_bits : int
        Bits of the scales of a grid's groups: 16, or 8 for the compact form.
    max_count : int
        Largest spike count D.
    rule : str
        Which potential sets the threshold.
    clip : float
        c, a multiple of 1/256 from 1/256 to 1.
    kappa : float or None
        Divides the mean magnitude; with the mean rule, and only with it.
    peak : float or None
        Calibrated largest magnitude; with the static rule, and only with it.
    dead_zone : float
        Magnitudes below it do not fire.
    dead_quantile : float
        Share of each token's channels, the smallest, that do not fire.
    shifts : int
        Halvings by which the threshold of a group of 32 channels may be lower, 0 to 3.

    Raises
    ------
    ValueError
        Naming the first setting that is out of its range or contradicts another.
    """

    weights: str = "rows"
    weight_bits: int = 8
    scale_bits: int = 16
    max_count: int = MAX_COUNT
    rule: str = "absmax"
    clip: float = 1.0
    kappa: float | None = None
    peak: float | None = None
    dead_zone: float = 0.0
    dead_quantile: float = 0.0
    shifts: int = 0

    def __post_init__(self) -> None:
        for name, (accepts, wanted) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not accepts(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        for name, rule in (("kappa", "mean"), ("peak", "static")):
            given, wanted = getattr(self, name) is not None, self.rule == rule
            if wanted and not given:
                raise ValueError(f"{name} must be given for the rule {rule!r}")
            if given and not wanted:
                raise ValueError(
                    f"{name} must be left out: the rule is {self.rule!r}, not {rule!r}"
                )
        if self.rule == "mean" and self.clip != 1:
            raise ValueError(f"clip must be 1 with the rule 'mean', not {self.clip}")
        if self.rule == "mean" and self.shifts:
            raise ValueError(f"shifts must be 0 with the rule 'mean', not {self.shifts}")
        if self.dead_zone and self.dead_quantile:
            raise ValueError("dead_zone and dead_quantile exclude each other: leave one out")

    def site(self, channels: int) -> Site:
        """Return the integer parameters for vectors of `channels` elements."""
        if self.kappa is not None:
            divisor = max(1, _round_half_away(channels * Fraction(self.kappa)))
        else:
            divisor = self.max_count
        return Site(
            rule=self.rule,
            max_count=self.max_count,
            multiplier=int(self.clip * 256),
            divisor=divisor,
            peak=0 if self.peak is None else _lsb(self.peak),
            dead_zone=_lsb(self.dead_zone),
            shifts=self.shifts,
        )


def _real(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, float) or is_integer(value)) and low <= value <= high


_LARGEST = float(1 << 31 - FRACTION_BITS)  # what a vector element can reach
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "weight_bits": (lambda v: is_integer(v) and v in LARGEST_CODE, "8, 4 or 2"),
    "weights": (lambda v: v in WEIGHTS, f"one of {', '.join(WEIGHTS)}"),
    "scale_bits": (lambda v: is_integer(v) and v in SCALE_BITS, "16 or 8"),
    "shifts": (
        lambda v: is_integer(v) and 0 <= v <= LARGEST_SHIFTS,
        f"an integer from 0 to {LARGEST_SHIFTS}",
    ),
    "max_count": (
        lambda v: is_integer(v) and 1 <= v <= MAX_COUNT,
        f"an integer from 1 to {MAX_COUNT}",
    ),
    "rule": (lambda v: v in RULES, f"one of {', '.join(RULES)}"),
    "clip": (
        lambda v: _real(1 / 256, 1)(v) and v * 256 == int(v * 256),
        "a multiple of 1/256 from 1/256 to 1",
    ),
    "kappa": (lambda v: _real(0, 1 << 24)(v) and v > 0, "a positive number up to 16777216"),
    "peak": (_real(0, _LARGEST), f"a number from 0 to {_LARGEST:.0f}"),
    "dead_zone": (_real(0, _LARGEST), f"a number from 0 to {_LARGEST:.0f}"),
    "dead_quantile": (
        lambda v: _real(0, 1)(v) and v < 1,
        "a number from 0 to below 1",
    ),
}


def _round_half_away(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))  # of what is not negative


def _lsb(value: float) -> int:
    return _round_half_away(Fraction(value) * (1 << FRACTION_BITS))
