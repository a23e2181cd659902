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

    The measured counts are of absmax thresholds with D = 127: magnitudes over their largest one, in
    steps of 1/127. Another D, clip or rule counts the same magnitudes anew. A calibrated peak is
    taken as the largest magnitude; dead zones are left out, since what they silence depends on the
    data: the source says so.

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
    ignored = f"; the dead zones of recipe {recipe.name} are not predicted here: give --profile"
    source = f"assumed as measured on {_reference()['source']}{ignored * dead}"

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
    likely = _counts(_shares(site, span), settings)  # (D + 1,)
    counts = torch.arange(len(likely))
    spikes = {}
    for coding in CODINGS:
        fires = encode(counts, coding, time_steps_for(len(likely) - 1, coding)).ne(0).sum(dim=0)
        spikes[coding] = float((fires * likely).sum())
    return Activity(
        silent=float(likely[0]),
        spikes=spikes,
        source=source,
    )


def _shares(site: str, span: int) -> torch.Tensor:
    """Return the measured shares of magnitudes 0 to 127, float64."""
    if site == "probabilities":
        by_span = _reference()["probabilities"]
        fitting = min((int(s) for s in by_span if int(s) >= span), default=max(map(int, by_span)))
        shares = by_span[str(fitting)]
    else:
        shares = _reference()["sites"][site]
    found = torch.tensor(shares, dtype=torch.float64)
    return found / found.sum()


def _counts(shares: torch.Tensor, settings: SiteSettings) -> torch.Tensor:
    """Return how likely each count from 0 to D is, of magnitudes whose shares are given."""
    magnitudes = torch.arange(MAX_COUNT + 1, dtype=torch.float64) / MAX_COUNT
    if settings.rule == "mean":
        assert settings.kappa is not None  # as the rule needs it
        threshold = float((magnitudes * shares).sum()) / settings.kappa
    else:
        threshold = settings.clip / settings.max_count
    counts = (magnitudes / threshold + 0.5).floor().clamp(max=settings.max_count).long()
    likely = torch.zeros(settings.max_count + 1, dtype=torch.float64)
    return likely.index_add(0, counts, shares)


@cache
def _reference() -> dict:
    return json.loads(REFERENCE.read_text())
