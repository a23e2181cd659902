"""What a measurement on a text found, as notebooks show it."""

from golden.measure import perplexity
from golden.numerics.codings import CODINGS
from spikeloom.table import Table

__all__ = ["Measurement"]


class Measurement(perplexity.Measurement):
    """Perplexity in fp32 and by spikes, and how each site fires; `Model.perplexity` returns it.

    ``fp32.perplexity``, ``spiking.perplexity``, ``skipped`` (share of the weight bytes that silent
    channels leave unread, token by token), ``spikes_per_weight(coding)``, and ``as_dict()``, which
    is everything as JSON values.
    """

    def table(self) -> Table:
        """Return by site the values seen, the share that is silent, and spikes a value."""
        return Table(
            {
                "site": name,
                "values": site.values,
                "silent values": site.histogram()[0] / site.values,
                **{f"{coding} per value": site.spikes(coding) / site.values for coding in CODINGS},
            }
            for name, site in self.sites.items()
        )

    def __repr__(self) -> str:
        """Return both perplexities, and the share of the weight bytes that is not read."""
        return (
            f"Measurement(perplexity {self.fp32.perplexity:.4g} in fp32, "
            f"{self.spiking.perplexity:.4g} by spikes, {self.fp32.predictions:,} predictions, "
            f"{self.skipped:.1%} of the weight bytes skipped)"
        )
