"""The front: perplexity against weight bytes that are not fetched, and what each step gains."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.text import TEXT
from golden.calibration.calibrate import Calibration
from golden.calibration.split import split
from golden.checkpoint.checkpoint import load
from golden.measure.perplexity import read_text
from golden.recipe.adapter import Adapter
from golden.recipe.fold import Fold
from golden.recipe.recipe import load_recipe, recipes_of

__all__ = ["measure"]


def measure(
    *,
    model: str = "smollm2-135m",
    text: Path = TEXT,
    tokens: int = 8192,
    shares: Sequence[float] = (0.1, 0.2, 0.3, 0.36, 0.43, 0.5),
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Calibrate a model for several shares of bytes: as it is, folded, and with its adapters.

    Folds and adapters are those of the model's recipes, NAME and NAME-…; dead zones are chosen
    and perplexities measured on windows that take turns at the text's end, as `golden calibrate`
    does.

    Parameters
    ----------
    model : str
        A known name.
    text : Path
        A text.
    tokens : int
        Of the text's end, half for dead zones and half for perplexities.
    shares : sequence of float
        Of all weight bytes, that dead zones are to leave unfetched.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``curves``, by what was done to the model, points of ``skipped`` (a share
        of all weight bytes) and ``ratio`` (perplexity over that in float).

    Raises
    ------
    ValueError
        If the model has no recipe of its own, or the text is too short.
    """
    torch.set_num_threads(os.cpu_count() or 1)  # seconds are not what is measured
    names = recipes_of(model)
    if not names:
        raise ValueError(
            f"model must have a recipe of its own for this bench, which {model} has not"
        )
    checkpoint = load(model)
    documents = read_text(text)
    context = min(1024, checkpoint.config.max_positions)
    parts = split(documents, checkpoint.tokenizer.encode, context, tokens)
    if not (parts.slopes and parts.checks):
        raise ValueError("text must leave two windows beyond what a fold takes: give a longer one")
    recipes = [load_recipe(name) for name in names]
    steps: list[tuple[str, str | Fold | None, Adapter | None]] = [("as it is", None, None)]
    steps.append(("folded", recipes[0].fold, None))
    adapters = {recipe.adapter.raw: recipe for recipe in recipes if recipe.adapter is not None}
    for recipe in adapters.values():
        steps.append((f"folded, adapter of {recipe.name}", recipe.fold, recipe.adapter))
    curves = {}
    for title, source, adapter in steps:
        tell = lambda doing, of=title: say(f"{of}: {doing}")  # noqa: E731
        found = Calibration(checkpoint, source, parts.slopes, parts.checks, tell)
        if adapter is not None:
            found.adapt(adapter)
        points = [found.at(share) for share in shares]
        curves[title] = [{"skipped": p.skipped, "ratio": p.ratio} for p in points]
    return {
        "model": model,
        "text": text.name,
        "tokens": sum(map(len, parts.checks)),
        "curves": curves,
    }
