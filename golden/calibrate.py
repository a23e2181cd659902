"""Calibration: from a text to the recipe that skips the most bytes within a budget of perplexity.

1. A short text is put into the recipe, and the checkpoint folded with it (`golden.fold`).
2. One pass forwards and back gives each site's vectors x and the loss's gradient g by them. Errors
   e in the tokens' vectors change the loss by about the mean of (g . e)^2 / 2: e is known for each
   dead zone, so each site has a curve of loss against bytes that stay unfetched.
3. With one price for a byte, each site of each layer takes the dead zone that is cheapest to it.
4. The price is found by bisection, each time running the integer model on tokens kept for that.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.checkpoints import Checkpoint
from golden.fixed import to_fixed
from golden.fold import fold
from golden.model import Model
from golden.names import matrices, site_of
from golden.neuron import fire, threshold
from golden.perplexity import Loss
from golden.recipe import Recipe
from golden.sensitivity import reached
from golden.settings import SiteSettings
from golden.spiking import Encoded, SpikingLinear

__all__ = ["LAPS", "Calibration", "Curve", "Point", "best", "split", "to_toml"]

_SHARES = [0.05 * i for i in range(1, 19)]  # of the channels, that dead zones are tried at
LAPS = 7  # bisections of the price
_FOLD_CHARACTERS = 8192


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

    def best(self, price: float) -> float:
        """Return the dead zone of least loss where a byte skipped is worth `price` nats."""
        return float(self.dead_zones[(self.nats - price * self.skipped).argmin()])


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
    fold_text : str or None
        What its fold is found on; None: no fold.
    slopes, checks : sequence of windows
        Tokens on which curves are found, and those on which a recipe is run.
    step : callable
        Called after each window of either, and with what is done.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        fold_text: str | None,
        slopes: Sequence[Sequence[int]],
        checks: Sequence[Sequence[int]],
        step: Callable[[str], None] = lambda doing: None,
    ) -> None:
        self.text, self.checks, self.step = fold_text, checks, step
        step("folding")
        self.checkpoint = fold(checkpoint, fold_text)
        self.fp32 = Loss()
        model = Model(checkpoint)
        for ids in checks:
            self.fp32.add(model, ids)
            step("float model")
        self.linear = SpikingLinear(self.checkpoint.config, self.checkpoint.tensor, self.recipe({}))
        self.model = Model(self.checkpoint, self.linear)
        self.fan_out: dict[str, int] = {}
        for name in matrices(self.checkpoint.config):
            site = site_of(name)
            self.fan_out[site] = self.fan_out.get(site, 0) + self.checkpoint.shape(name)[0]
        self.curves = self._curves(slopes)

    def recipe(self, dead_zones: dict[str, float]) -> Recipe:
        """Return the recipe with these dead zones by site."""
        default = SiteSettings()
        sites, layer_sites = {}, {}
        for site, dead_zone in dead_zones.items():
            settings = replace(default, dead_zone=dead_zone)
            layer, kind = _place(site)
            if layer is None:
                sites[kind] = settings
            else:
                layer_sites[layer, kind] = settings
        return Recipe("calibrated", default, sites, layer_sites, self.text)

    def at(self, price: float) -> Point:
        """Measure the recipe of a price, in nats a token for a byte."""
        zones = {site: _digits(curve.best(price)) for site, curve in self.curves.items()}
        return self.measure(self.recipe(zones))

    def measure(self, recipe: Recipe) -> Point:
        """Run a recipe on the tokens kept for that."""
        found: dict[str, list[int]] = {}

        def observe(site: str, encoded: Encoded) -> None:
            silent, values = found.get(site, (0, 0))
            silent += int((encoded.counts == 0).sum())
            found[site] = (silent, values + encoded.counts.numel())

        self.linear.set_recipe(recipe)
        self.linear.observe = observe
        loss = Loss()
        for ids in self.checks:
            loss.add(self.model, ids)
            self.step("integer model")
        silent = sum(self.fan_out[site] * s for site, (s, _) in found.items())
        values = sum(self.fan_out[site] * v for site, (_, v) in found.items())
        return Point(recipe, loss.perplexity / self.fp32.perplexity, silent / values)

    def search(self, budget: float, skip: float | None = None) -> list[Point]:
        """Return all points measured on the way to the most skipped within a budget, in order.

        With `skip`, the search is for the least that is skipped above that share instead.
        """
        total = sum(float(curve.nats[-1]) for curve in self.curves.values())
        bytes_ = sum(float(curve.skipped[-1]) for curve in self.curves.values())
        low, high = math.log(total / bytes_) - 9, math.log(total / bytes_) + 1
        points = []
        for _ in range(LAPS):
            middle = (low + high) / 2
            point = self.at(math.exp(middle))
            points.append(point)
            enough = point.ratio > budget if skip is None else point.skipped >= skip
            low, high = (low, middle) if enough else (middle, high)
        return points

    def _curves(self, batches: Sequence[Sequence[int]]) -> dict[str, Curve]:
        curves: dict[str, Curve] = {}
        tokens = sum(len(ids) for ids in batches)
        for ids in batches:
            for site, (x, g) in reached(self.checkpoint, ids).items():
                found = _errors(x, g, self.fan_out[site], curves.get(site))
                found.nats /= tokens
                found.skipped /= tokens
                if site in curves:
                    found.nats += curves[site].nats
                    found.skipped += curves[site].skipped
                curves[site] = found
            self.step("gradients")
        return curves


def best(points: Iterable[Point], budget: float, skip: float | None = None) -> Point | None:
    """Return the point that skips most within the budget; with `skip`, the best that skips it."""
    meets = [p for p in points if p.ratio <= budget and (skip is None or p.skipped >= skip)]
    order = (lambda p: p.skipped) if skip is None else (lambda p: -p.ratio)
    return max(meets, key=order, default=None)


def split(
    documents: Sequence[str], encode: Callable[[str], list[int]], context: int, tokens: int
) -> tuple[str, list[list[int]], list[list[int]]]:
    """Part the end of a text: what a fold is found on, and windows for curves and for checks.

    The fold's text is the last 8192 characters, of whole documents but for the first of them. Of
    the `tokens` before those, every other window is for checks.
    """
    documents, tail = list(documents), ""
    while documents and len(tail) < _FOLD_CHARACTERS:
        rest = documents.pop()
        cut = max(0, len(rest) - (_FOLD_CHARACTERS - len(tail)))
        tail = rest[cut:].strip() + "\n" + tail
        if cut:
            documents.append(rest[:cut])
    found: list[list[int]] = []
    while documents and sum(map(len, found)) < tokens:
        ids = encode(documents.pop())
        ids = ids[-(tokens - sum(map(len, found))) :]
        parts = [ids[start : start + context] for start in range(0, len(ids), context)]
        found += [part for part in parts if len(part) > 1]
    return tail, found[::2], found[1::2]


def _errors(x: Tensor, g: Tensor, fan_out: int, before: Curve | None) -> Curve:
    """Return sums over a window's tokens; dead zones are those of `before`, if any."""
    magnitude = x.abs()
    if before is None:
        sample = magnitude.flatten()[:: max(1, magnitude.numel() // 100_000)].sort().values
        zones = torch.cat([torch.zeros(1), sample[[int(s * len(sample)) for s in _SHARES]]])
    else:
        zones = before.dead_zones
    settings = SiteSettings().site(x.shape[1])
    fixed = to_fixed(x)
    v = threshold(fixed, settings)  # (tokens,)
    counts = fire(fixed, v, settings)
    error = counts * (v.double() / 2**40).float()[:, None] - x
    fired, spent = counts != 0, -x * g  # what silence costs, to first order
    error *= g
    nats, skipped = torch.zeros(len(zones)), torch.zeros(len(zones))
    for i, zone in enumerate(zones):
        fires = magnitude >= zone
        change = torch.where(fires, error, spent).sum(dim=1)  # (tokens,)
        nats[i] = change.square().sum() / 2
        skipped[i] = (~(fires & fired)).sum() * fan_out
    return Curve(zones, nats, skipped)


def _place(site: str) -> tuple[int | None, str]:
    place, _, kind = site.rpartition(".")
    return (int(place.removeprefix("layers.")) if place else None), kind


def _digits(value: float) -> float:
    """Four digits are enough of a dead zone."""
    return float(f"{value:.4g}")


def to_toml(recipe: Recipe, head: Iterable[str] = ()) -> str:
    """Return the file of a calibrated recipe; `head` are its comments."""
    lines = [f"# {line}".rstrip() for line in head]
    default = recipe.default
    lines += [f"weight_bits = {default.weight_bits}", f"max_count = {default.max_count}"]
    lines += [f'rule = "{default.rule}"']
    for site, settings in recipe.sites.items():
        lines += ["", f"[site.{site}]", f"dead_zone = {settings.dead_zone}"]
    last = None
    for (layer, site), settings in sorted(recipe.layer_sites.items(), key=lambda item: item[0][0]):
        if layer != last:
            lines += ["", f"[layer.{layer}]"]
            last = layer
        lines.append(f"{site}.dead_zone = {settings.dead_zone}")
    if recipe.fold_text is not None:
        text = recipe.fold_text.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["", "[fold]", f'text = """\n{text}"""']
    return "\n".join(lines) + "\n"
