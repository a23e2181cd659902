"""Vectors as spikes: counts, thresholds, and the trains that each coding makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from golden.numerics import codings
from golden.numerics.fixed import to_fixed
from golden.numerics.neuron import Encoded, encode_vectors
from golden.recipe.settings import SiteSettings
from hw.contract.params import FRACTION_BITS, THRESHOLD_FRACTION_BITS
from spikeloom.given import vectors
from spikeloom.table import Table

if TYPE_CHECKING:
    from spikeloom.figures import Figure

__all__ = ["Spikes", "encode"]


@dataclass(frozen=True, repr=False, eq=False)
class Spikes:
    """Tokens' vectors as signed spike counts (docs/numerics.md, sections 2 and 3).

    A channel of potential x fires n = x / V times, rounded and held to [-D, D]: V is its token's
    threshold, the sign is that of its spikes, and a magnitude within the dead zone stays silent.
    With shifts or exponents its threshold is 2^h V, and each of its spikes weighs 2^h.

    Attributes
    ----------
    counts : ndarray of int8 or int16
        n, or n 2^h where spikes have weights, (tokens, channels).
    thresholds : ndarray of float64
        V of each token, (tokens,), in units of the vectors.
    max_count : int
        D, 1 to 127.
    name : str
        Of the site, for figures and tables.
    max_shift : int
        The largest h, 0 to 6.
    """

    counts: NDArray[np.int8] | NDArray[np.int16]
    thresholds: NDArray[np.float64]
    max_count: int
    name: str = ""
    max_shift: int = 0

    @classmethod
    def of_encoded(cls, batches: Sequence[Encoded], name: str) -> "Spikes":
        """Return what golden made of some batches of a site."""
        shifts = max(batch.max_shift for batch in batches)
        counts = torch.cat([batch.spikes if shifts else batch.counts for batch in batches])
        thresholds = torch.cat([batch.v for batch in batches])
        most = batches[0].site.max_count
        return cls.of_fixed(counts.numpy(), thresholds.numpy(), most, name, shifts)

    @classmethod
    def of_fixed(
        cls,
        counts: NDArray[np.int8] | NDArray[np.int16],
        thresholds: NDArray[np.int64],
        max_count: int,
        name: str,
        max_shift: int = 0,
    ) -> "Spikes":
        """Return counts with thresholds as hardware holds them, in 2^-40 of a unit."""
        units = thresholds / float(1 << (FRACTION_BITS + THRESHOLD_FRACTION_BITS))
        return cls(counts, units, max_count, name, max_shift)

    @property
    def values(self) -> NDArray[np.float64]:
        """What the spikes stand for, `counts` V, (tokens, channels), in units of the vectors."""
        return self.counts * self.thresholds[:, None]

    @property
    def silent(self) -> float:
        """Share of the channels that fire for no token: one batch leaves their weights unread."""
        return float(np.mean(~self.counts.any(axis=0)))

    @property
    def silent_values(self) -> float:
        """Share of the values whose count is 0; of tokens one by one, the mean of `silent`."""
        return float(np.mean(self.counts == 0))

    def time_steps(self, coding: str = "csd") -> int:
        """Return the time steps T that a coding needs for the largest counts."""
        return codings.time_steps_for(self.max_count, coding, self.max_shift)

    def train(self, coding: str = "csd") -> NDArray[np.int8]:
        """Return the spike trains in a coding.

        Parameters
        ----------
        coding : str
            ``unary``, ``bitwise``, ``csd``, or ``binary``, the paper's.

        Returns
        -------
        ndarray of int8
            -1, 0 or 1, (T, tokens, channels); a spike of step t is worth 2^t, but 1 in unary.

        Raises
        ------
        ValueError
            For an unknown coding.
        """
        steps = self.time_steps(coding)
        counts = torch.from_numpy(np.ascontiguousarray(self.counts))
        return codings.encode(counts, coding, steps).numpy()

    def count(self, coding: str = "csd") -> int:
        """Return the number of spikes in a coding, over all tokens, channels and time steps."""
        return int(np.count_nonzero(self.train(coding)))

    def table(self) -> Table:
        """Return each coding's time steps T, spikes, and spikes a value."""
        spikes = {coding: self.count(coding) for coding in codings.CODINGS}
        return Table(
            {
                "coding": coding,
                "time steps": self.time_steps(coding),
                "spikes": number,
                "spikes per value": number / self.counts.size,
            }
            for coding, number in spikes.items()
        )

    def raster(self, coding: str = "csd", *, tokens: Any = None, channels: Any = None) -> "Figure":
        """Draw a raster plot: time steps across, token after token, and channels upwards.

        Parameters
        ----------
        coding : str
            As of `train`.
        tokens, channels : slice or sequence of int, optional
            Which of them; by default all tokens, and the first 128 channels.

        Returns
        -------
        Figure
            Matplotlib's; ``.save("raster.svg")`` or ``.save("raster.pdf")`` writes it.

        Raises
        ------
        ValueError
            For an unknown coding, and where no token or channel is left.
        """
        from spikeloom.figures import draw_raster

        return draw_raster(self, coding, tokens=tokens, channels=channels)

    def __repr__(self) -> str:
        """Return the shape and how silent it is."""
        tokens, channels = self.counts.shape
        name = f"{self.name}, " if self.name else ""
        silent = f"{self.silent_values:.1%} of the values silent"
        return f"Spikes({name}{tokens} tokens, {channels} channels, {silent})"


def encode(x: ArrayLike | torch.Tensor, *, name: str = "", **settings: Any) -> Spikes:
    """Encode vectors as the hardware does.

    Parameters
    ----------
    x : array or Tensor
        Real numbers, (tokens, channels) or (channels,); they are rounded to Q15.16 first.
    name : str
        What they are, for figures.
    **settings
        ``max_count`` D (default 127), ``rule`` of the threshold: ``absmax`` (default, V is the
        largest magnitude times ``clip`` over D), ``mean`` (the mean magnitude over ``kappa``) or
        ``static`` (``peak`` times ``clip`` over D); ``dead_zone``, below which nothing fires, or
        ``dead_quantile``, the share of each token's channels that is silenced; ``shifts``, by how
        many doublings thresholds of groups of channels may differ. See
        `golden.recipe.settings.SiteSettings`.

    Raises
    ------
    ValueError
        Naming what is wrong with the vectors or a setting.
    """
    tensor = torch.atleast_2d(vectors("x", x))
    if tensor.dim() != 2 or not tensor.shape[0] or not tensor.shape[1]:
        raise ValueError(f"x must be (tokens, channels), not of shape {tuple(tensor.shape)}")
    known = vars(SiteSettings()).keys() - {"weight_bits", "weights", "scale_bits"}
    if unknown := sorted(settings.keys() - known):
        raise ValueError(f"a setting must be one of {', '.join(sorted(known))}, not {unknown[0]}")
    chosen = SiteSettings(**settings)
    site = chosen.site(tensor.shape[1])
    found = encode_vectors(to_fixed(tensor), site, chosen.dead_quantile)
    return Spikes.of_encoded([found], name)
