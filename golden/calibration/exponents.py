"""Channel exponents, found on what reaches each site of a model.

A token's threshold is theta = max_k |x_k| / 2^(e_k) over D, and channel k's error then has a
variance of about (theta * 2^(e_k))^2 / 12. It changes the loss by about g_k^2 / 2 of that, where g
is the loss's gradient; summed over the channels that is a token's cost c. log(1 + c) is summed over
tokens, lest a few of them decide. A token's own g^2 is half of what counts, their mean over tokens
the other half.

1. Start with e_k = ceil(log2(peak_k / level)), for the level, and for the share of tokens that are
   left out of a channel's peak, that cost the least.
2. Descend: channel by channel, take the exponent that costs the least.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from golden.checkpoint.config import ModelConfig
from golden.model.gradients import reached
from golden.model.llama import Model
from golden.numerics.neuron import LARGEST_EXPONENT, MAX_COUNT

__all__ = ["cost", "find_exponents", "site_exponents"]

_TOKENS = 256  # that a site's exponents are found on, evenly spread
_LEVELS = 32
_SHARES = (1.0, 0.99, 0.9)  # of tokens, that a channel's peak covers
_LAPS = 1  # of the descent


def find_exponents(
    model: Model,
    batches: Sequence[Sequence[int]],
    max_count: Callable[[str], int] = lambda site: MAX_COUNT,
    step: Callable[[str], None] = lambda doing: None,
) -> dict[str, Tensor]:
    """Find the exponents of all sites of a model in float.

    Parameters
    ----------
    model : Model
        The checkpoint that they are for.
    batches : sequence of windows
        Tokens to find them on.
    max_count : callable
        Returns D of a site.
    step : callable
        Called after each window, with what is done.

    Returns
    -------
    dict of str to Tensor
        By site, int8, (channels,): what `golden.recipe.exponents.pack_exponents` takes.
    """
    stride = max(1, sum(map(len, batches)) // _TOKENS)
    kept: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for ids in batches:
        for site, (x, g) in reached(model, ids).items():
            x, g = _units(site, x.abs(), "amax", model.config), g.square()
            g = _units(site, g, "sum", model.config)
            kept.setdefault(site, []).append((x[::stride].clone(), g[::stride].clone(), g.mean(0)))
        step("gradients")
    found = {}
    for site, parts in kept.items():
        magnitudes = torch.cat([x for x, _, _ in parts])
        mean = torch.stack([own for _, _, own in parts]).mean(dim=0)
        slopes = (torch.cat([g for _, g, _ in parts]) + mean) / 2
        e = site_exponents(magnitudes, slopes, max_count(site))
        found[site] = _channels(site, e, model.config)
    return found


def cost(magnitudes: Tensor, slopes: Tensor, e: Tensor, max_count: int = MAX_COUNT) -> float:
    """Return the predicted loss of a site, in nats over all tokens.

    Parameters
    ----------
    magnitudes, slopes : Tensor
        |x| and g^2, float32, (tokens, channels).
    e : Tensor
        Exponents, integers, (channels,).
    max_count : int
        D.
    """
    by = torch.exp2(e.float())
    return float(_nats((magnitudes / by).amax(dim=1), slopes @ by.square(), max_count))


def site_exponents(magnitudes: Tensor, slopes: Tensor, max_count: int = MAX_COUNT) -> Tensor:
    """Return exponents that cost little, int8, (channels,); parameters are those of `cost`."""
    start = min(_starts(magnitudes), key=lambda e: cost(magnitudes, slopes, e, max_count))
    return _descended(magnitudes, slopes, start, max_count)


def _starts(magnitudes: Tensor) -> Iterator[Tensor]:
    yield torch.zeros(magnitudes.shape[1], dtype=torch.int64)
    ascending = magnitudes.sort(dim=0).values
    for share in _SHARES:
        peak = ascending[round(share * (len(ascending) - 1))]
        for i in range(1, _LEVELS + 1):
            octaves = i * (LARGEST_EXPONENT + 2) / _LEVELS  # of the level, below the largest peak
            e = (peak / peak.max()).log2().add(octaves).ceil()
            yield e.nan_to_num().clamp(0, LARGEST_EXPONENT).long()


def _descended(magnitudes: Tensor, slopes: Tensor, e: Tensor, max_count: int) -> Tensor:
    options = torch.arange(LARGEST_EXPONENT + 1)
    down, up = torch.exp2(-options.float())[:, None], torch.exp2(2.0 * options)[:, None]
    own, slope = magnitudes.T.contiguous(), slopes.T.contiguous()  # (channels, tokens)
    total = slopes @ up[e, 0]  # (tokens,)
    shown = own * down[e]
    for _ in range(_LAPS):
        top, order = shown.topk(min(2, len(e)), dim=0)
        for k in range(len(e)):
            leads = order[0] == k
            if not e[k] and not leads.any():
                continue  # it sets no threshold: the least exponent is the best
            others = torch.where(leads, top[1] if len(top) > 1 else 0, top[0])
            rest = total - slope[k] * up[e[k]]
            totals, loudest = rest + slope[k] * up, torch.maximum(others, own[k] * down)
            best = int(_nats(loudest, totals, max_count).argmin())
            if best != e[k]:
                e[k], total, shown[k] = best, totals[best], own[k] * down[best]
                stale = (order == k).any(dim=0) | (shown[k] > top[-1])
                top[:, stale], order[:, stale] = shown[:, stale].topk(len(top), dim=0)
    return e.to(torch.int8)


def _nats(loudest: Tensor, weighed: Tensor, max_count: int) -> Tensor:
    """Return the cost summed over tokens, the last dimension."""
    return (loudest.square() * weighed / (24 * max_count**2)).log1p().sum(dim=-1)


def _units(site: str, values: Tensor, reduce: str, config: ModelConfig) -> Tensor:
    """Return values of what has an exponent of its own: in o, query heads share their values'."""
    if not site.endswith(".o"):
        return values
    by_head = values.view(len(values), config.kv_heads, -1, config.head_dim)
    return (by_head.amax(dim=2) if reduce == "amax" else by_head.sum(dim=2)).flatten(1)


def _channels(site: str, e: Tensor, config: ModelConfig) -> Tensor:
    """Return the exponents of channels from those of `_units`."""
    if not site.endswith(".o"):
        return e
    heads = config.heads // config.kv_heads
    return e.view(config.kv_heads, 1, -1).expand(-1, heads, -1).flatten()
