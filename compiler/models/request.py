"""What a build is asked for: which model, with which weights, on which hardware."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compiler.models.known import KNOWN_MODELS, has_weights, require_same_shapes
from compiler.models.synthetic import SyntheticCheckpoint
from golden.checkpoint.checkpoint import Checkpoint, load
from golden.checkpoint.config import ModelConfig
from golden.recipe.recipe import Recipe

__all__ = ["WEIGHTS", "Request", "refuse_fold", "request"]

WEIGHTS = ("real", "synthetic", "none")
"""Trained ones, random ones of the same shapes, or a plan without any."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A build as asked for.

    Attributes
    ----------
    name : str
        What its directory is called by default.
    config : ModelConfig
        The model's shapes.
    source : str
        Where they are from, for people.
    preset : str
        The hardware unless another is asked for.
    weights : str
        One of `WEIGHTS`.
    checkpoint : Checkpoint or None
        The weights; None for a plan.
    seed : int or None
        Of synthetic weights.
    """

    name: str
    config: ModelConfig
    source: str
    preset: str
    weights: str
    checkpoint: Checkpoint | None
    seed: int | None

    @property
    def entry(self) -> dict[str, object] | None:
        """What a manifest says of weights that are not real; None of those that are."""
        if self.weights == "real":
            return None
        of_seed = {} if self.seed is None else {"seed": self.seed}
        return {"weights": self.weights, **of_seed}


def request(
    model: str,
    *,
    checkpoint: str | None = None,
    weights: str | None = None,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Request:
    """Return what is to be built.

    Parameters
    ----------
    model : str
        A name of `compiler.models.known.KNOWN_MODELS`, or the path of a checkpoint.
    checkpoint : str, optional
        Path of a named model's weights.
    weights : str, optional
        One of `WEIGHTS`; by default real ones where they can be had, else none.
    seed : int, optional
        Of synthetic weights, which need one.
    progress : callable, optional
        See `golden.checkpoint.checkpoint.load`.

    Raises
    ------
    ValueError
        In one sentence, where what is asked for does not exist or agree.
    """
    known = KNOWN_MODELS.get(model)
    if known is None and not Path(model).exists():
        raise ValueError(
            f"there is no model {model}: name one of {', '.join(KNOWN_MODELS)}, or a checkpoint: a "
            "Hugging Face directory, a .gguf file or a llama2.c .bin file"
        )
    if weights is None:
        had = known is None or checkpoint is not None or has_weights(model)
        weights = "real" if had else "none"
    _require_agreement(model, checkpoint, weights, seed)
    path = checkpoint or model
    trained, filled = None, None
    if weights == "real" or known is None:
        trained = load(path, progress)
        config = trained.config
        if known is not None:
            require_same_shapes(model, config, path)
    else:
        config = known.config
    if weights == "real":
        filled = trained
    elif seed is not None:  # of synthetic ones
        filled = SyntheticCheckpoint(config, seed)
    return Request(
        name=model if known is not None else Path(model).resolve().stem,
        config=config,
        source=known.source if known is not None else str(path),
        preset=known.preset if known is not None else "edge",
        weights=weights,
        checkpoint=filled,
        seed=seed,
    )


def refuse_fold(wanted: Request, recipe: Recipe) -> None:
    """Raise ValueError where a recipe folds or adapts synthetic weights: it is of trained ones."""
    parts = {"fold": recipe.fold, "adapter": recipe.adapter, "exponents": recipe.exponents}
    part = next((name for name, found in parts.items() if found is not None), None)
    if wanted.weights == "synthetic" and part is not None:
        raise ValueError(
            f"recipe {recipe.name} has a [{part}], which is found by running the trained model: "
            "choose another for synthetic weights"
        )


def _require_agreement(model: str, checkpoint: str | None, weights: str, seed: int | None) -> None:
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {weights!r}")
    if checkpoint is not None and model not in KNOWN_MODELS:
        raise ValueError(f"--checkpoint must be left out: {model} is a checkpoint itself")
    if checkpoint is not None and weights != "real":
        raise ValueError(f"--checkpoint must be left out: weights are {weights}, not real ones")
    if checkpoint is not None and not Path(checkpoint).exists():
        raise ValueError(f"there is no checkpoint {checkpoint}: give the path of one of {model}")
    if (
        weights == "real"
        and checkpoint is None
        and model in KNOWN_MODELS
        and not has_weights(model)
    ):
        raise ValueError(
            f"{model} comes without weights: give a --checkpoint, or leave out --weights for a plan"
        )
    if weights == "synthetic" and seed is None:
        raise ValueError("synthetic weights need a --seed, such as --seed 1")
    if weights != "synthetic" and seed is not None:
        raise ValueError("--seed must be left out: it is for --weights synthetic")
    if seed is not None and seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
