"""How SmolLM2-135M fires: the counts that plans assume where a model has no profile.

``python -m bench.firing TEXT`` writes ``compiler/predict/reference.json``.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from golden.checkpoint.checkpoint import load
from golden.measure.perplexity import read_text, windows
from golden.model.integer import IntegerModel
from golden.numerics.neuron import LARGEST_SHIFTS, MAX_COUNT, Encoded
from golden.recipe.recipe import SITES, load_recipe
from golden.recipe.settings import SiteSettings

__all__ = ["SPANS", "measure"]

SPANS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Positions that a token sees, up to which its probabilities are counted together."""

_MODEL, _RECIPE = "smollm2-135m", "w8"
_LEVELS = LARGEST_SHIFTS + 1


def measure(text: Path, tokens: int = 2048) -> dict[str, object]:
    """Return how often each magnitude of a count occurs, by kind of site.

    Parameters
    ----------
    text : Path
        What is read, in windows of the longest span.
    tokens : int
        How many of its tokens.

    Returns
    -------
    dict
        ``source``; ``sites``: by kind, shares of the magnitudes 0 to 127 in groups of channels
        with the finest threshold, one twice as coarse, and so on; ``probabilities``: the same by
        span.
    """
    checkpoint, recipe = load(_MODEL), load_recipe(_RECIPE)
    shifts = {site: SiteSettings(shifts=LARGEST_SHIFTS) for site in SITES}
    recipe = replace(recipe, sites=shifts)
    sites: dict[str, torch.Tensor] = {}
    probabilities: dict[int, torch.Tensor] = {}

    def observe(site: str, encoded: Encoded, there: torch.Tensor | None) -> None:
        kind = site.rpartition(".")[2]
        assert encoded.shifts is not None  # every site has them
        magnitudes = encoded.counts.abs().long() + encoded.shifts.long() * (MAX_COUNT + 1)
        if there is None:
            _add(sites, kind, magnitudes.flatten())
            return
        seen = there.sum(dim=1)
        low = 0
        for span in SPANS:
            rows = (seen > low) & (seen <= span)
            if rows.any():
                _add(probabilities, span, magnitudes[rows][there[rows]])
            low = span

    model = IntegerModel(checkpoint, recipe, observe_site=observe)
    batches = list(windows(read_text(text), checkpoint.tokenizer.encode, SPANS[-1], tokens))
    for ids in batches:
        model.forward(ids)
        print(f"{len(ids)} tokens", file=sys.stderr)
    read = sum(map(len, batches))
    return {
        "source": f"SmolLM2-135M, 8-bit weights, {read:,} tokens of {text.name}",
        "sites": {kind: _shares(counted) for kind, counted in sites.items()},
        "probabilities": {str(span): _shares(probabilities[span]) for span in SPANS},
    }


def _add(counted: dict, key: object, magnitudes: torch.Tensor) -> None:
    found = torch.bincount(magnitudes, minlength=_LEVELS * (MAX_COUNT + 1))
    counted[key] = counted.get(key, 0) + found


def _shares(counted: torch.Tensor) -> list[list[float]]:
    by_level = (counted.double() / counted.sum()).view(_LEVELS, MAX_COUNT + 1)
    return [[float(f"{share:.3g}") for share in level] for level in by_level.tolist()]


if __name__ == "__main__":
    from compiler.predict.activity import REFERENCE

    found = measure(Path(sys.argv[1]))
    REFERENCE.write_text(json.dumps(found) + "\n")
