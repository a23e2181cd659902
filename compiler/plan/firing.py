"""How models fire that no profile was taken of: borrowed from a small model, or as published."""

import json
from functools import cache
from pathlib import Path

import torch

from compiler.plan.workload import Activities, Activity
from golden.encoding import encode, time_steps_for
from golden.neuron import MAX_COUNT

__all__ = ["CODINGS", "borrowed", "published"]

CODINGS = ("unary", "bitwise", "csd")
"""Those that hardware has."""

_REFERENCE = Path(__file__).with_name("reference.json")
_PUBLISHED_SPIKES = 0.862
_PUBLISHED_SILENT = 0.184


def borrowed(span: int) -> Activities:
    """Return SmolLM2-135M's firing by kind of site, for a token that sees `span` positions."""
    reference = _reference()
    spans = {int(key): shares for key, shares in reference["probabilities"].items()}
    within = min((s for s in spans if s >= span), default=max(spans))
    histograms = reference["sites"] | {"probabilities": spans[within]}
    source = f"borrowed: {reference['source']}"
    found = {site: _activity(tuple(shares), source) for site, shares in histograms.items()}
    return lambda _layer, site: found[site]


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
def _reference() -> dict:
    return json.loads(_REFERENCE.read_text(encoding="utf-8"))


@cache
def _activity(shares: tuple[float, ...], source: str) -> Activity:
    likely = torch.tensor(shares, dtype=torch.float64)
    likely /= likely.sum()  # of rounded shares
    counts = torch.arange(MAX_COUNT + 1)
    spikes = {}
    for coding in CODINGS:
        digits = encode(counts, coding, time_steps_for(MAX_COUNT, coding)).ne(0).sum(dim=0)
        spikes[coding] = float(digits.double() @ likely)
    return Activity(silent=float(likely[0]), spikes=spikes, source=source)
