"""Calibration: from a text to the recipe that skips the most bytes within a budget of perplexity.

1. The checkpoint is folded (`golden.recipe.fold`) with what is found on a text, or left as it is:
   then weights stay on the grid of their file.
2. One pass forwards and back gives each site's vectors x and the loss's gradient g by them. Errors
   e in a token's vector change the loss by about (g . e)^2 / 2 =: c, in the mean; log(1 + c) is
   taken, lest a few tokens decide. e is known for each dead zone, so each site has a curve of loss
   against bytes that stay unfetched.
3. With one price for a byte, each site of each layer takes the dead zone that is cheapest to it.
4. If it is asked for, an adapter is learnt for dead zones so chosen (`golden.calibration.distil`),
   or channel exponents are found (`golden.calibration.exponents`): then x is what reaches a site
   divided by 2^e, and g is multiplied.
5. A price stands for a share of bytes skipped; the share is found by bisection, each time running
   the integer model on tokens kept for that.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.calibration.curve import Curve, curve
from golden.calibration.distil import distil
from golden.calibration.exponents import find_exponents
from golden.checkpoint.checkpoint import Checkpoint
from golden.measure.held import held
from golden.measure.perplexity import Loss
from golden.model.gradients import reached
from golden.model.llama import Model
from golden.model.prepare import fold
from golden.model.spiking import SpikingLinear
from golden.numerics.neuron import Encoded
from golden.recipe.adapter import Adapter, adapt, pack_adapter, unpack_adapter
from golden.recipe.exponents import Exponents, apply_exponents, pack_exponents, unpack_exponents
from golden.recipe.fold_file import StoredFold
from golden.recipe.recipe import Recipe, locate_site
from golden.recipe.settings import SiteSettings

__all__ = ["LAPS", "Calibration", "Point", "best"]

LAPS = 6  # recipes that are run
_PLAIN = SiteSettings()
_RANK = 8  # of an adapter
_MILDER = 0.65  # of a share: a fourth of the lessons, so that an adapter serves milder recipes too


@dataclass(frozen=True)
class Point:
    """A recipe and what it was measured to do.

    Attributes
    ----------
    recipe : Recipe
        Its settings.
    ratio : float
        Perplexity over that of the checkpoint in float.
    skipped : float
        Share of the weight bytes of all matrices, the head's too, that a token does not fetch.
    """

    recipe: Recipe
    ratio: float
    skipped: float


class Calibration:
    """A checkpoint being calibrated.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    source : str, StoredFold or None
        What `golden.model.prepare.fold` takes.
    slopes, checks : sequence of windows
        Tokens on which curves are found, and those on which a recipe is run.
    step : callable
        Called after each window of either, and with what is done.
    default : SiteSettings
        How sites encode, and what their weights are.
    head : SiteSettings, optional
        The same of the head, where it differs.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        source: str | StoredFold | None,
        slopes: Sequence[Sequence[int]],
        checks: Sequence[Sequence[int]],
        step: Callable[[str], None] = lambda doing: None,
        default: SiteSettings = _PLAIN,
        head: SiteSettings | None = None,
    ) -> None:
        self.original, self.source, self.step = checkpoint, source, step
        self.slopes, self.checks = slopes, checks
        self.default, self.sites = default, {} if head is None else {"head": head}
        self.adapter: Adapter | None = None
        self.exponents: Exponents | None = None
        step("folding")
        self.checkpoint = fold(checkpoint, source)
        self.fp32 = Loss()
        model = Model(checkpoint)
        for ids in checks:
            self.fp32.add(model, ids)
            step("float model")
        self._begin(Model(self.checkpoint))

    def _begin(self, model: Model) -> None:
        """Go on with a model, whose curves are not found yet."""
        self.model = self.spiking = model
        if self.exponents is not None:
            self.spiking = Model(apply_exponents(model.checkpoint, self.exponents))
        checkpoint, recipe = self.spiking.checkpoint, self.recipe({})
        self.linear = SpikingLinear(
            checkpoint.config, self.spiking.tensor, recipe, grid=checkpoint.grid
        )
        self.held = held(checkpoint, recipe)
        self._curves: dict[str, Curve] = {}

    def recipe(self, dead_zones: dict[str, float]) -> Recipe:
        """Return the recipe with these dead zones by site."""
        sites, layer_sites = dict(self.sites), {}
        for site, dead_zone in dead_zones.items():
            layer, kind = locate_site(site)
            settings = replace(self.sites.get(kind, self.default), dead_zone=dead_zone)
            if layer is None:
                sites[kind] = settings
            else:
                layer_sites[layer, kind] = settings
        return Recipe(
            "calibrated",
            self.default,
            sites,
            layer_sites,
            self.source,
            self.adapter,
            self.exponents,
        )

    def find_exponents(self) -> bytes:
        """Find channel exponents, and go on with them; returns their file."""
        recipe = self.recipe({})
        packed = pack_exponents(
            find_exponents(
                self.model,
                self.slopes,
                lambda site: recipe.settings(*locate_site(site)).max_count,
                self.step,
            )
        )
        self.exponents = unpack_exponents(packed)  # as they will be read again
        self._begin(self.model)
        return packed

    def distil(self, lessons: Sequence[Sequence[int]], share: float) -> bytes:
        """Adapt the model to dead zones that skip about a share; returns the adapter's file.

        `lessons` are windows of tokens; see `golden.calibration.distil`. A first adapter
        learns for smaller shares too; one that the model has already goes on learning for this
        share alone.
        """
        zones = [self.zones(share)]
        if self.adapter is None:
            zones = 3 * zones + [self.zones(_MILDER * share)]
        lessons = random.Random(0).sample(lessons, len(lessons))  # no two of a kind in a row
        step = lambda divergence: self.step(f"distilling: {divergence:.3f} nats")  # noqa: E731
        before = None if self.adapter is None else self.adapter.ups
        ups = distil(self.original, self.checkpoint, zones, lessons, _RANK, step, before)
        packed = pack_adapter(ups)
        self.adapt(unpack_adapter(packed))  # as it will be read again
        return packed

    def adapt(self, adapter: Adapter) -> None:
        """Go on with an adapter in the model."""
        self.adapter = adapter
        self._begin(Model(adapt(self.checkpoint, adapter)))

    def zones(self, share: float) -> dict[str, float]:
        """Return the dead zones, by site, that are predicted to skip a share of weight bytes."""
        low, high = -60.0, 0.0  # of the price's logarithm, in nats a token for a byte
        chosen: dict[str, int] = {}
        for _ in range(50):
            middle = (low + high) / 2
            chosen = {site: curve.best(math.exp(middle)) for site, curve in self.curves.items()}
            skipped = sum(float(self.curves[site].skipped[i]) for site, i in chosen.items())
            low, high = (middle, high) if skipped < share * self.held.bits / 8 else (low, middle)
        return {site: _digits(self.curves[site].dead_zones[i]) for site, i in chosen.items()}

    def at(self, share: float) -> Point:
        """Measure the recipe that is predicted to skip a share of the weight bytes."""
        return self.measure(self.recipe(self.zones(share)))

    def measure(self, recipe: Recipe) -> Point:
        """Run a recipe on the tokens kept for that."""
        found: dict[str, tuple[int, int]] = {}

        def observe(site: str, encoded: Encoded) -> None:
            silent, tokens = found.get(site, (0, 0))
            silent += int((encoded.counts == 0).sum())
            found[site] = silent, tokens + len(encoded.counts)

        self.linear.set_recipe(recipe)
        self.linear.observe = observe
        loss = Loss()
        before, self.spiking.linear = self.spiking.linear, self.linear
        for ids in self.checks:
            loss.add(self.spiking, ids)
            self.step("integer model")
        self.spiking.linear = before
        skipped = self.held.skipped({site: s / tokens for site, (s, tokens) in found.items()})
        return Point(recipe, loss.perplexity / self.fp32.perplexity, skipped)

    def search(self, budget: float, skip: float | None = None) -> list[Point]:
        """Return all points measured on the way to the most skipped within a budget, in order.

        With `skip`, the search is for the least that is skipped above that share instead.
        """
        low, high = 0.0, 0.8
        share = 0.3 if skip is None else skip + 0.005
        points = []
        for _ in range(LAPS):
            points.append(self.at(share))
            enough = points[-1].ratio > budget if skip is None else points[-1].skipped >= skip
            if enough:
                high = share
            else:
                low = share
            if skip is not None and enough:
                break
            share = share + 0.01 if skip is not None else (low + min(high, 2 * low + 0.1)) / 2
        return points

    @property
    def curves(self) -> dict[str, Curve]:
        """What dead zones do to each site; found when first needed."""
        if not self._curves:
            recipe, tokens = self.recipe({}), sum(len(ids) for ids in self.slopes)
            for ids in self.slopes:
                for site, (x, g) in reached(self.model, ids).items():
                    e = recipe.exponents_of(site, x.shape[1])
                    if e is not None:
                        by = torch.exp2(e.float())
                        x, g = x / by, g * by
                    before, row_bytes = self._curves.get(site), self.held.row_bits[site] / 8
                    encodes = recipe.site(*locate_site(site), x.shape[1])
                    found = curve(x, g, row_bytes, before, encodes)
                    found.nats /= tokens
                    found.skipped /= tokens
                    if before is not None:
                        found.nats += before.nats
                        found.skipped += before.skipped
                    self._curves[site] = found
                self.step("gradients")
        return self._curves


def best(points: Iterable[Point], budget: float, skip: float | None = None) -> Point | None:
    """Return the point that skips most within the budget; with `skip`, the best that skips it."""
    meets = [p for p in points if p.ratio <= budget and (skip is None or p.skipped >= skip)]
    order = (lambda p: p.skipped) if skip is None else (lambda p: -p.ratio)
    return max(meets, key=order, default=None)


def _digits(value: Tensor) -> float:
    """Four digits are enough of a dead zone."""
    return float(f"{float(value):.4g}")
