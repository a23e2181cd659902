"""How sites fire: as a profile says, as those of a model that was measured, or as published."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch

from compiler.predict.workload import Activities, Activity
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import MAX_COUNT
from golden.recipe.recipe import SITES, Recipe
from golden.recipe.settings import SiteSettings
from hw.contract.isa import Coding

__all__ = ["CODING", "CODINGS", "REFERENCE", "assumed", "known", "profiled", "published"]

CODINGS = tuple(coding.name.lower() for coding in Coding)
"""Those that hardware has."""
CODING = "csd"
"""Of the spikes, unless another is asked for."""
REFERENCE = Path(__file__).with_name("reference.json")
"""What `bench.firing` measured: shares of the magnitudes of counts, by kind of site."""

_PUBLISHED_SPIKES = 0.862
_PUBLISHED_SILENT = 0.184


def assumed(config: ModelConfig, recipe: Recipe, position: int) -> Activities:
    """Return activities as if every site's magnitudes were spread as those of its kind were.

    The measured counts are of absmax thresholds with D = 127, shifted by what each group of 32
    channels allows: magnitudes over their largest one, in steps of 1/127 in the loudest groups and
    of 1/1,016 in the quietest. Another D, clip, rule or number of shifts counts the same magnitudes
    anew. A calibrated peak is taken as the largest magnitude; dead zones and exponents of channels
    are left out, since what they change depends on the data: the source says so.

    Parameters
    ----------
    config : ModelConfig
        The model.
    recipe : Recipe
        How its sites encode.
    position : int
        Of the token: the probabilities of one that sees more positions are smaller.
    """
    sites = [(layer, site) for layer in range(config.layers) for site in SITES if site != "head"]
    dead = any(recipe.settings(*at).dead_zone for at in [*sites, (None, "head")])
    ignored = ["dead zones"] * dead + ["exponents"] * (recipe.exponents is not None)
    source = f"assumed as measured on {_reference()['source']}"
    if ignored:
        source += f"; the {' and '.join(ignored)} of recipe {recipe.name} are not predicted here: "
        source += "give --profile"

    def activity(layer: int | None, site: str) -> Activity:
        span = position + 1
        if layer is not None and (window := config.window(layer)):
            span = min(span, window)
        settings = recipe.settings(layer, site)
        return _activity(site, settings, span if site == "probabilities" else 0, source)

    return activity


def profiled(profile: Profile) -> Callable[[int], Activities]:
    """Return, for any position, how sites fired in a profile: means over its tokens."""
    identity = profile.identity

    @cache
    def activity(layer: int | None, site: str) -> Activity:
        found = profile.site(layer, site)
        return Activity(
            silent=found.silent,
            spikes={coding: found.spikes(coding) for coding in CODINGS},
            source=f"measured on {identity.tokens:,} tokens of {identity.text}",
        )

    return lambda position: activity


def known(
    config: ModelConfig, recipe: Recipe, profile: Profile | None = None
) -> Callable[[int], Activities]:
    """Return, for any position, how sites fire: as a profile says, or else as is `assumed`."""
    return profiled(profile) if profile is not None else partial(assumed, config, recipe)


def published() -> Activities:
    """Return what the paper's joules imply, at every site and in every coding alike.

    Its 0.67 J rest on 0.862 spikes a value. What share of the channels is silent it does not say:
    18.4 % is SpikingBrain-7B's, of the same group.
    """
    activity = Activity(
        silent=_PUBLISHED_SILENT,
        spikes=dict.fromkeys(CODINGS, _PUBLISHED_SPIKES),
        source="published: 0.862 spikes a value (from arXiv 2604.16475's joules), 18.4 % silent "
        "(SpikingBrain-7B's)",
    )
    return lambda _layer, _site: activity


@cache
def _activity(site: str, settings: SiteSettings, span: int, source: str) -> Activity:
    likely = _counts(_shares(site, span), settings)  # (D 2^shifts + 1,)
    counts = torch.arange(len(likely))
    spikes = {}
    for coding in CODINGS:
        steps = time_steps_for(settings.max_count, coding, settings.shifts)
        fires = encode(counts, coding, steps).ne(0).sum(dim=0)
        spikes[coding] = float((fires * likely).sum())
    return Activity(
        silent=float(likely[0]),
        spikes=spikes,
        source=source,
        shifts=settings.shifts,
    )


def _shares(site: str, span: int) -> torch.Tensor:
    """Return the measured shares of magnitudes 0 to 127 by level, float64, (levels, 128)."""
    if site == "probabilities":
        by_span = _reference()["probabilities"]
        fitting = min((int(s) for s in by_span if int(s) >= span), default=max(map(int, by_span)))
        shares = by_span[str(fitting)]
    else:
        shares = _reference()["sites"][site]
    found = torch.tensor(shares, dtype=torch.float64)
    return found / found.sum()


def _counts(shares: torch.Tensor, settings: SiteSettings) -> torch.Tensor:
    """Return how likely each count times its spikes' weight is, from 0 to D 2^shifts.

    `shares` are of magnitudes, by the level of their group: its largest one is at most 2^-3, 2^-2,
    2^-1 and 1 times the token's.
    """
    loudest = 2.0 ** torch.arange(1 - len(shares), 1, dtype=torch.float64)[:, None, None]
    # Half of those that were counted as n are smaller, and half larger.
    counted = torch.arange(MAX_COUNT + 1)[:, None] + torch.tensor([-0.25, 0.25])
    magnitudes = loudest * counted.clamp(min=0) / MAX_COUNT
    shares = shares[..., None] / 2
    shifts, most = settings.shifts, settings.max_count
    if settings.rule == "mean":
        assert settings.kappa is not None  # as the rule needs it
        threshold = float((magnitudes * shares).sum()) / settings.kappa
    else:
        threshold = settings.clip / most / 2**shifts
    weight_log2 = (loudest / settings.clip * 2**shifts).log2().ceil().clamp(0, shifts)
    counts = (magnitudes / threshold / 2**weight_log2 + 0.5).floor().clamp(max=most)
    worth = (counts * 2**weight_log2).long()
    likely = torch.zeros((most << shifts) + 1, dtype=torch.float64)
    return likely.index_add(0, worth.flatten(), shares.expand_as(worth).flatten())


@cache
def _reference() -> dict:
    return json.loads(REFERENCE.read_text())
