"""What dead zones do to a site: predicted loss against bytes that stay unfetched."""

from dataclasses import dataclass

import torch
from torch import Tensor

from golden.numerics.fixed import to_fixed
from golden.numerics.neuron import Site, encode_vectors
from golden.recipe.settings import SiteSettings

__all__ = ["Curve", "curve"]

_SHARES = [0.025 * i for i in range(1, 37)]  # of the channels, that dead zones are tried at


@dataclass
class Curve:
    """What dead zones do to one site, mean over tokens.

    Attributes
    ----------
    dead_zones : Tensor
        Tried, ascending, (zones,); the first is 0.
    nats : Tensor
        Predicted loss a token, (zones,).
    skipped : Tensor
        Weight bytes not fetched a token, (zones,).
    """

    dead_zones: Tensor
    nats: Tensor
    skipped: Tensor

    def best(self, price: float) -> int:
        """Return which dead zone costs the least where a byte skipped is worth `price` nats."""
        return int((self.nats - price * self.skipped).argmin())


def curve(
    x: Tensor,
    g: Tensor,
    row_bytes: float,
    before: Curve | None = None,
    site: Site | None = None,
) -> Curve:
    """Return sums over a window's tokens.

    Parameters
    ----------
    x, g : Tensor
        The site's vectors as it encodes them, divided by its exponents, and the gradient of the
        loss by them, float32, (tokens, channels).
    row_bytes : float
        Bytes of the weights that a channel feeds.
    before : Curve, optional
        Whose dead zones are tried again; by default they are found in `x`.
    site : Site, optional
        How the site encodes, without a dead zone; by absmax with D = 127 unless it is given.
    """
    magnitude = x.abs()
    if before is None:
        sample = magnitude.flatten()[:: max(1, magnitude.numel() // 100_000)].sort().values
        zones = torch.cat([torch.zeros(1), sample[[int(s * len(sample)) for s in _SHARES]]])
    else:
        zones = before.dead_zones
    encoded = encode_vectors(to_fixed(x), site or SiteSettings().site(x.shape[1]))
    fired = encoded.spikes * (encoded.v.double() / 2**40).float()[:, None]
    # Zone i silences the channels that pass fewer than i + 1 zones.
    passed = torch.bucketize(magnitude, zones, right=True) - 1  # (tokens, channels)

    def by_zone(values: Tensor) -> Tensor:
        return torch.zeros(len(x), len(zones)).scatter_add_(1, passed, values).double()

    silenced, kept = by_zone(-x * g), by_zone((fired - x) * g)  # (tokens, zones)
    change = silenced.cumsum(1) - silenced + kept.flip(1).cumsum(1).flip(1)
    fires = by_zone((encoded.counts != 0).float()).sum(0).flip(0).cumsum(0).flip(0)  # (zones,)
    return Curve(zones, (change.square() / 2).log1p().sum(dim=0), (x.numel() - fires) * row_bytes)
