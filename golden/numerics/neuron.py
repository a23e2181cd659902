"""Encoding a token: thresholds and firing, from a vector to its spike counts (section 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.fixed import is_integer
from hw.contract.params import THRESHOLD_FRACTION_BITS

__all__ = [
    "Encoded",
    "MAX_COUNT",
    "RULES",
    "Site",
    "encode_vectors",
    "fire",
    "fire_neuron",
    "quantile_dead_zone",
    "spike_potential",
    "threshold",
]

MAX_COUNT = 127
"""The largest spike count a site may have."""
RULES = ("absmax", "mean", "static")
"""Which potential sets a site's threshold."""

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

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        for name, low, high in (
            ("max_count", 1, MAX_COUNT),
            ("multiplier", 1, 256),
            ("divisor", 1, (1 << 24) - 1),
            ("peak", 0, 1 << 31),
            ("dead_zone", 0, 1 << 31),
        ):
            value = getattr(self, name)
            if not is_integer(value) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
        if self.rule == "mean" and self.multiplier != 256:
            raise ValueError(f"multiplier must be 256 for the mean rule, not {self.multiplier}")
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
        Thresholds, int64, (tokens,).
    counts : Tensor
        Spike counts, int8, (tokens, K).
    site : Site
        What encoded them.
    """

    x: Tensor
    v: Tensor
    counts: Tensor
    site: Site


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
        int64, (tokens,), each from 2^24 to 2^56 - 1.
    """
    magnitude = _magnitude(x)  # (tokens, channels)
    if site.rule == "absmax":
        potential = magnitude.amax(dim=1)  # (tokens,)
    elif site.rule == "mean":
        potential = magnitude.sum(dim=1)
    else:
        potential = torch.full((x.shape[0],), site.peak, dtype=torch.int64)

    # floor(A * C * 2^16 / Q) in two digits: the whole numerator may not fit 63 bits. A sum over
    # fewer than 2^24 channels keeps A * C below 2^63.
    scaled = potential * site.multiplier
    whole = scaled // site.divisor
    rest = scaled % site.divisor
    extra = THRESHOLD_FRACTION_BITS - 8
    saturates = whole > _THRESHOLD_MAX >> extra
    v = (whole.clamp(max=_THRESHOLD_MAX >> extra) << extra) + (rest << extra) // site.divisor
    v = torch.where(saturates, _THRESHOLD_MAX, v)
    return v.clamp(min=1 << THRESHOLD_FRACTION_BITS)


def spike_potential(x: Tensor, v: Tensor) -> Tensor:
    """Return how often each magnitude holds its token's threshold, rounded half up, unclipped.

    Parameters
    ----------
    x : Tensor
        Q15.16, int32, (tokens, channels).
    v : Tensor
        `threshold`'s result, (tokens,).

    Returns
    -------
    Tensor
        int64, (tokens, channels), never negative.
    """
    membrane = (_magnitude(x) << (THRESHOLD_FRACTION_BITS + 1)) + v[:, None]  # below 2^57
    return membrane // (2 * v[:, None])


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
    counts = spike_potential(x, v).clamp(max=site.max_count)
    silent = _magnitude(x) < (site.dead_zone if dead_zone is None else dead_zone[:, None])
    return (counts.masked_fill(silent, 0) * x.sign()).to(torch.int8)


def fire_neuron(x: Tensor, v: Tensor, site: Site) -> Tensor:
    """Return `fire`'s counts as the neuron finds them: integrate and fire with soft reset.

    No division: the membrane starts at half a threshold, and 2^b thresholds are subtracted
    wherever they fit, from the largest b down. Shapes and dtypes are `fire`'s.
    """
    v_th = 2 * v[:, None]  # in half units of V, so that half a threshold is an integer
    v_mem = (_magnitude(x) << (THRESHOLD_FRACTION_BITS + 1)) + v[:, None]
    counts = torch.zeros_like(v_mem)
    for b in range(6, -1, -1):
        # v_th << 6 stays within 63 bits: V < 2^56.
        fires = v_mem >= v_th << b
        v_mem = torch.where(fires, v_mem - (v_th << b), v_mem)  # soft reset
        counts += fires.long() << b
    counts = counts.clamp(max=site.max_count)
    counts[_magnitude(x) < site.dead_zone] = 0
    return torch.where(x < 0, -counts, counts).to(torch.int8)


def encode_vectors(x: Tensor, site: Site, dead_quantile: float = 0.0) -> Encoded:
    """Encode Q15.16 vectors, int32, (tokens, K), as a site does.

    `dead_quantile` is the share of each token's channels silenced at run time.
    """
    v = threshold(x, site)
    dead_zone = quantile_dead_zone(x, dead_quantile) if dead_quantile else None
    return Encoded(x, v, fire(x, v, site, dead_zone), site)


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


def _magnitude(x: Tensor) -> Tensor:
    """Magnitudes of Q15.16 elements, int64: that of -2^31 needs 32 bits."""
    if x.dtype != torch.int32:
        raise ValueError(f"x must be int32 (Q15.16), not {x.dtype}")
    if x.dim() != 2 or x.shape[1] == 0:
        raise ValueError(f"x must be (tokens, channels), not of shape {tuple(x.shape)}")
    return x.long().abs()
