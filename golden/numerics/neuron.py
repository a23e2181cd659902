"""Encoding a token: thresholds and firing, from a vector to its spike counts (section 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.fixed import is_integer
from hw.contract.params import EXPONENT_WIDTH, THRESHOLD_FRACTION_BITS, THRESHOLD_GROUP

__all__ = [
    "Encoded",
    "LARGEST_EXPONENT",
    "LARGEST_SHIFTS",
    "MAX_COUNT",
    "RULES",
    "Site",
    "encode_vectors",
    "fire",
    "fire_neuron",
    "group_shifts",
    "quantile_dead_zone",
    "spike_potential",
    "threshold",
]

MAX_COUNT = 127
"""The largest spike count a site may have."""
RULES = ("absmax", "mean", "static")
"""Which potential sets a site's threshold."""

LARGEST_SHIFTS = 3
"""Halvings by which a group's threshold may lie below the token's."""
LARGEST_EXPONENT = (1 << EXPONENT_WIDTH) - 1
"""The largest exponent of a channel."""

_THRESHOLD_MAX = (1 << 56) - 1


@dataclass(frozen=True)
class Site:
    """How one place of a model encodes its vectors; all fields are integers.

    Attributes
    ----------
    rule : str
        Which potential sets the threshold, one of `RULES`.
    max_count : int
        Largest spike count D, 1 to 127.
    multiplier : int
        Clip times 256, 1 to 256; 256 for the mean rule.
    divisor : int
        D for absmax and static; for mean, channels times kappa; 1 to 2^24 - 1.
    peak : int
        Calibrated largest magnitude in lsb for the static rule, 0 to 2^31.
    dead_zone : int
        Magnitudes below it, in lsb, do not fire; 0 to 2^31.
    shifts : int
        Halvings by which a group's threshold may be lower, 0 to 3; 0 for the mean rule.

    Raises
    ------
    ValueError
        Naming the first field out of its range.
    """

    rule: str
    max_count: int
    multiplier: int
    divisor: int
    peak: int = 0
    dead_zone: int = 0
    shifts: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        for name, low, high in (
            ("max_count", 1, MAX_COUNT),
            ("multiplier", 1, 256),
            ("divisor", 1, (1 << 24) - 1),
            ("peak", 0, 1 << 31),
            ("dead_zone", 0, 1 << 31),
            ("shifts", 0, LARGEST_SHIFTS),
        ):
            value = getattr(self, name)
            if not is_integer(value) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
        if self.rule == "mean" and self.multiplier != 256:
            raise ValueError(f"multiplier must be 256 for the mean rule, not {self.multiplier}")
        if self.rule == "mean" and self.shifts:
            raise ValueError(f"shifts must be 0 for the mean rule, not {self.shifts}")
        if self.rule != "mean" and self.divisor != self.max_count:
            raise ValueError(
                f"divisor must be max_count = {self.max_count} for the {self.rule} rule, "
                f"not {self.divisor}"
            )


@dataclass(frozen=True)
class Encoded:
    """A batch of tokens' vectors as a site encodes them.

    Attributes
    ----------
    x : Tensor
        Q15.16, int32, (tokens, K).
    v : Tensor
        Thresholds, the finest of each token, int64, (tokens,).
    counts : Tensor
        Spike counts, int8, (tokens, K).
    site : Site
        What encoded them.
    shifts : Tensor or None
        A spike of a channel weighs 2^shift, int8, (tokens, K), 0 to 6; None where all are 0.
    exponents : Tensor or None
        Of each channel, in `shifts` too, int8, (K,); None where all are 0.
    """

    x: Tensor
    v: Tensor
    counts: Tensor
    site: Site
    shifts: Tensor | None = None
    exponents: Tensor | None = None

    @property
    def spikes(self) -> Tensor:
        """What the counts stand for in thresholds: counts * 2^shifts, int16, (tokens, K)."""
        counts = self.counts.to(torch.int16)
        return counts if self.shifts is None else counts << self.shifts

    @property
    def max_shift(self) -> int:
        """The largest of the shifts."""
        return 0 if self.shifts is None else int(self.shifts.max())

    @property
    def thresholds(self) -> Tensor:
        """Each channel's own threshold, int64, (tokens, K) or (tokens, 1)."""
        return _thresholds(self.x, self.v, self.site)


def threshold(x: Tensor, site: Site) -> Tensor:
    """Return each token's firing threshold V, in lsb of 2^-24 of a vector lsb.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    site : Site
        The place that encodes `x`.

    Returns
    -------
    Tensor
        int64, (tokens,), each from 2^24 (2^21 with 3 shifts) to 2^56 - 1.
    """
    potential = _potential(x, site)  # (tokens,)
    divisor = site.divisor << site.shifts

    # floor(A * C * 2^16 / (Q * 2^S)) in two digits: the whole numerator may not fit 63 bits. A sum
    # over fewer than 2^24 channels keeps A * C below 2^63.
    scaled = potential * site.multiplier
    whole = scaled // divisor
    rest = scaled % divisor
    extra = THRESHOLD_FRACTION_BITS - 8
    saturates = whole > _THRESHOLD_MAX >> extra
    v = (whole.clamp(max=_THRESHOLD_MAX >> extra) << extra) + (rest << extra) // divisor
    v = torch.where(saturates, _THRESHOLD_MAX, v)
    return v.clamp(min=1 << THRESHOLD_FRACTION_BITS - site.shifts)


def group_shifts(x: Tensor, site: Site) -> Tensor:
    """Return by how many doublings each group's threshold exceeds the token's finest.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    site : Site
        The place that encodes `x`.

    Returns
    -------
    Tensor
        int64, (tokens, groups of 32 channels), 0 to the site's `shifts`.
    """
    tokens, channels = x.shape
    groups = -(-channels // THRESHOLD_GROUP)
    padded = torch.zeros(tokens, groups * THRESHOLD_GROUP, dtype=torch.int64)
    padded[:, :channels] = _magnitude(x)
    loudest = padded.view(tokens, groups, THRESHOLD_GROUP).amax(dim=2)
    potential = _potential(x, site)[:, None]
    found = torch.full_like(loudest, site.shifts)
    for s in reversed(range(site.shifts)):
        found = torch.where(loudest << (site.shifts - s) <= potential, s, found)
    return found


def spike_potential(x: Tensor, v: Tensor) -> Tensor:
    """Return how often each magnitude holds its threshold, rounded half up, unclipped.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    v : Tensor
        Thresholds, int64, (tokens, channels) or (tokens, 1).

    Returns
    -------
    Tensor
        int64, (tokens, channels), never negative.
    """
    membrane = (_magnitude(x) << (THRESHOLD_FRACTION_BITS + 1)) + v  # below 2^57
    return membrane // (2 * v)


def fire(x: Tensor, v: Tensor, site: Site, dead_zone: Tensor | None = None) -> Tensor:
    """Return the spike counts of a batch of tokens.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    v : Tensor
        `threshold`'s result, (tokens,).
    site : Site
        The place that encodes `x`.
    dead_zone : Tensor, optional
        One dead zone a token, (tokens,), in place of the site's: `quantile_dead_zone`'s result.

    Returns
    -------
    Tensor
        int8, (tokens, channels), in [-D, D].
    """
    counts = spike_potential(x, _thresholds(x, v, site)).clamp(max=site.max_count)
    silent = _magnitude(x) < (site.dead_zone if dead_zone is None else dead_zone[:, None])
    return (counts.masked_fill(silent, 0) * x.sign()).to(torch.int8)


def fire_neuron(x: Tensor, v: Tensor, site: Site) -> Tensor:
    """Return `fire`'s counts as the neuron finds them: integrate and fire with soft reset.

    No division: the membrane starts at half a threshold, and 2^b thresholds are subtracted
    wherever they fit, from the largest b down. Shapes and dtypes are `fire`'s.
    """
    v = _thresholds(x, v, site)
    v_th = 2 * v  # in half units of V, so that half a threshold is an integer
    v_mem = (_magnitude(x) << (THRESHOLD_FRACTION_BITS + 1)) + v
    counts = torch.zeros_like(v_mem)
    for b in range(6, -1, -1):
        # v_th << 6 stays within 63 bits: the coarsest threshold is below 2^56.
        fires = v_mem >= v_th << b
        v_mem = torch.where(fires, v_mem - (v_th << b), v_mem)  # soft reset
        counts += fires.long() << b
    counts = counts.clamp(max=site.max_count)
    counts[_magnitude(x) < site.dead_zone] = 0
    return torch.where(x < 0, -counts, counts).to(torch.int8)


def encode_vectors(
    x: Tensor, site: Site, dead_quantile: float = 0.0, exponents: Tensor | None = None
) -> Encoded:
    """Encode vectors as a site does.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, K); with exponents, what the real ones over 2^exponent are.
    site : Site
        How.
    dead_quantile : float
        Share of each token's channels silenced at run time.
    exponents : Tensor, optional
        Of each channel, int8, (K,), 0 to 3.
    """
    v = threshold(x, site)
    dead_zone = quantile_dead_zone(x, dead_quantile) if dead_quantile else None
    shifts = None
    if site.shifts:
        shifts = _by_channel(group_shifts(x, site), x.shape[1]).to(torch.int8)
    if exponents is not None:
        shifts = exponents.expand(x.shape) if shifts is None else shifts + exponents
    return Encoded(x, v, fire(x, v, site, dead_zone), site, shifts, exponents)


def quantile_dead_zone(x: Tensor, quantile: float) -> Tensor:
    """Return the dead zone below which lie each token's ``floor(quantile * channels)`` lowest.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    quantile : float
        Share of the channels to silence, 0 up to but not including 1.

    Returns
    -------
    Tensor
        int64, (tokens,), in lsb. Equal magnitudes stay together: where the boundary falls
        inside a run of them, all of them fire.
    """
    if not 0 <= quantile < 1:
        raise ValueError(f"quantile must be at least 0 and below 1, not {quantile}")
    rank = int(quantile * x.shape[1])
    return _magnitude(x).kthvalue(rank + 1, dim=1).values


def _potential(x: Tensor, site: Site) -> Tensor:
    """Return A of each token, int64, (tokens,)."""
    if site.rule == "static":
        return torch.full((x.shape[0],), site.peak, dtype=torch.int64)
    magnitude = _magnitude(x)
    return magnitude.amax(dim=1) if site.rule == "absmax" else magnitude.sum(dim=1)


def _thresholds(x: Tensor, v: Tensor, site: Site) -> Tensor:
    """Return each channel's threshold, int64, (tokens, channels); (tokens, 1) without shifts."""
    if not site.shifts:
        return v[:, None]
    return v[:, None] << _by_channel(group_shifts(x, site), x.shape[1])


def _by_channel(groups: Tensor, channels: int) -> Tensor:
    """Return values of groups for each of their channels, (tokens, channels)."""
    return groups.repeat_interleave(THRESHOLD_GROUP, dim=1)[:, :channels]


def _magnitude(x: Tensor) -> Tensor:
    """Magnitudes of Q15.16 elements, int64: that of -2^31 needs 32 bits."""
    if x.dtype != torch.int32:
        raise ValueError(f"x must be int32 (Q15.16), not {x.dtype}")
    if x.dim() != 2 or x.shape[1] == 0:
        raise ValueError(f"x must be (tokens, channels), not of shape {tuple(x.shape)}")
    return x.long().abs()
