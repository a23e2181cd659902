"""Perplexity of a model in float and by spikes, with the firing statistics of every site."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import matrices, site_of
from golden.measure.firing import FiringStatistics
from golden.measure.held import Held, held
from golden.model.integer import IntegerModel
from golden.model.llama import Model
from golden.model.prepare import grids, prepare
from golden.model.spiking import SpikingLinear
from golden.numerics.codings import CODINGS
from golden.numerics.fixed import from_fixed
from golden.numerics.neuron import Encoded
from golden.recipe.recipe import Recipe
from hw.contract.params import FRACTION_BITS

__all__ = ["ARITHMETICS", "DOCUMENT_END", "Loss", "Measurement", "measure", "read_text", "windows"]

ARITHMETICS = ("float", "integer")
"""What a spiking model computes in between its matrices."""
DOCUMENT_END = "<|endoftext|>"
"""The line that stands between two documents of a text."""


@dataclass
class Loss:
    """Cross-entropy of predicted tokens, added up."""

    nats: float = 0.0
    predictions: int = 0

    @property
    def nats_per_token(self) -> float:
        """Mean cross-entropy of a prediction."""
        return self.nats / self.predictions

    @property
    def perplexity(self) -> float:
        """Exponential of the mean cross-entropy; infinite where that is too large."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf

    def add(self, model: Model, ids: Sequence[int]) -> Tensor:
        """Take in a model's predictions of every token of a window but the first.

        Returns the logarithms of their probabilities, (tokens - 1, vocabulary).
        """
        logits = model.forward(ids)[:-1]  # (tokens - 1, vocabulary)
        if not logits.is_floating_point():
            logits = from_fixed(logits)
        log_p = logits.log_softmax(dim=1)
        self.nats -= float(log_p.gather(1, torch.tensor(ids[1:])[:, None]).double().sum())
        self.predictions += len(ids) - 1
        return log_p

    def as_dict(self) -> dict[str, float]:
        """Return mean and perplexity as plain JSON values."""
        return {"nats_per_token": self.nats_per_token, "perplexity": self.perplexity}


@dataclass
class Measurement:
    """What one run found.

    Attributes
    ----------
    fp32, spiking : Loss
        Of the two forms of the model on the same windows.
    divergence : float
        Of the spiking form's predictions from those in fp32, Kullback-Leibler, summed over them,
        in nats.
    sites : dict of str to FiringStatistics
        By site in the order they are reached, such as `layers.3.qkv` or `head`.
    fan_out : dict of str to int
        Output channels that each site's vectors feed; the sites within attention feed no weights.
    held : Held
        What the weights take, by site.
    arithmetic : str
        One of `ARITHMETICS`.
    largest_residual : float
        Largest magnitude of the integer model's residual stream.
    saturated_residuals : int
        How many of its elements saturated.
    """

    fp32: Loss = field(default_factory=Loss)
    spiking: Loss = field(default_factory=Loss)
    divergence: float = 0.0
    sites: dict[str, FiringStatistics] = field(default_factory=dict)
    fan_out: dict[str, int] = field(default_factory=dict)
    held: Held = field(default_factory=Held)
    arithmetic: str = "float"
    largest_residual: float = 0.0
    saturated_residuals: int = 0

    def observe(self, site: str, encoded: Encoded, there: Tensor | None = None) -> None:
        """Take in a batch that a site has encoded, or those elements where `there` is set."""
        if site not in self.sites:
            self.sites[site] = FiringStatistics(encoded.site.max_count)
        self.sites[site].add(encoded, there)

    def by_kind(self) -> dict[str, FiringStatistics]:
        """Return the statistics of each kind of site over all layers, and of `all` together."""
        kinds: dict[str, list[FiringStatistics]] = {}
        for name, statistics in self.sites.items():
            kinds.setdefault(name.rpartition(".")[2], []).append(statistics)
        kinds["all"] = list(self.sites.values())
        return {kind: FiringStatistics.total(parts) for kind, parts in kinds.items()}

    def spikes_per_weight(self, coding: str) -> float:
        """Return synaptic operations per multiply-accumulate of the dense model."""
        feeding = [(self.sites[name], outputs) for name, outputs in self.fan_out.items()]
        operations = sum(site.spikes(coding) * outputs for site, outputs in feeding)
        return operations / sum(site.values * outputs for site, outputs in feeding)

    @property
    def skipped(self) -> float:
        """Share of the weight bytes of all matrices, the head's too, that a token leaves alone."""
        return self.held.skipped(self._silent())

    @property
    def fetched(self) -> float:
        """Weight bytes that a token fetches, scales of groups included, over one for a weight."""
        return self.held.fetched(self._silent())

    def _silent(self) -> dict[str, float]:
        """Return how many channels of a token are silent, by site."""
        return {
            site: channels * self.sites[site].histogram()[0] / self.sites[site].values
            for site, channels in self.held.channels.items()
        }

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        sites = []
        for name, statistics in self.sites.items():
            place, _, kind = name.rpartition(".")
            layer = int(place.rpartition(".")[2]) if place else None
            sites.append({"layer": layer, "site": kind} | statistics.as_dict())
        residual = {"largest": self.largest_residual, "saturated": self.saturated_residuals}
        return {
            "predictions": self.fp32.predictions,
            "arithmetic": self.arithmetic,
            **({"residual": residual} if self.arithmetic == "integer" else {}),
            "fp32": self.fp32.as_dict(),
            "spiking": self.spiking.as_dict(),
            "divergence_nats_per_token": self.divergence / self.fp32.predictions,
            "spikes_per_weight": {coding: self.spikes_per_weight(coding) for coding in CODINGS},
            "skipped": self.skipped,
            "fetched": self.fetched,
            "sites": sites,
            "by_site": {kind: total.as_dict() for kind, total in self.by_kind().items()},
        }


def read_text(path: Path) -> list[str]:
    """Return the documents of a text file.

    Raises
    ------
    ValueError
        If it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"text {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"text {path} must be UTF-8, and byte {error.start} is not") from None
    documents, lines = [], []
    for line in [*text.splitlines(keepends=True), DOCUMENT_END]:
        if line.strip() == DOCUMENT_END:
            documents.append("".join(lines))
            lines = []
        else:
            lines.append(line)
    return [document for document in documents if document.strip()]


def windows(
    documents: Sequence[str],
    encode: Callable[[str], list[int]],
    context: int,
    tokens: int | None,
) -> Iterator[list[int]]:
    """Yield windows of 2 to `context` tokens that do not overlap, in order.

    A document is encoded as a whole and cut from its start; no window spans two. At most `tokens`
    tokens are used, all where it is None.
    """
    left = math.inf if tokens is None else tokens
    for document in documents:
        ids = encode(document)
        ids = ids[: int(min(left, len(ids)))]
        left -= len(ids)
        for start in range(0, len(ids), context):
            window = ids[start : start + context]
            if len(window) > 1:  # a token alone predicts nothing
                yield window
        if left == 0:
            return


def measure(
    checkpoint: Checkpoint,
    recipe: Recipe,
    batches: Sequence[Sequence[int]],
    progress: Callable[[], None] = lambda: None,
    arithmetic: str = "float",
) -> Measurement:
    """Run a model in float and by spikes on the same windows.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    recipe : Recipe
        How its layers are made spike-driven.
    batches : sequence
        Windows of token ids.
    progress : callable
        Called after each window.
    arithmetic : str
        What the spiking model computes in between its matrices, one of `ARITHMETICS`.

    Raises
    ------
    ValueError
        For another arithmetic.
    """
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"arithmetic must be {' or '.join(ARITHMETICS)}, not {arithmetic!r}")
    found = Measurement(arithmetic=arithmetic)
    fp32 = Model(checkpoint)
    folded = prepare(checkpoint, recipe)
    if arithmetic == "integer":
        spiking = IntegerModel(folded, recipe, observe_site=found.observe)
    else:
        tensor = fp32.tensor if folded is checkpoint else folded.tensor
        linear = SpikingLinear(folded.config, tensor, recipe, found.observe, grids(folded, recipe))
        spiking = Model(folded, linear)
    for ids in batches:
        ours, theirs = found.spiking.add(spiking, ids), found.fp32.add(fp32, ids)
        found.divergence += float(kl_div(ours, theirs, reduction="sum", log_target=True))
        progress()
    if isinstance(spiking, IntegerModel):
        found.largest_residual = spiking.largest_residual / (1 << FRACTION_BITS)
        found.saturated_residuals = spiking.saturated
    for name in matrices(checkpoint.config):
        site = site_of(name)
        outputs = checkpoint.shape(name)[0]
        found.fan_out[site] = found.fan_out.get(site, 0) + outputs
    found.held = held(folded, recipe)
    return found
