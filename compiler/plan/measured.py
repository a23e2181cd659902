"""What a profile chooses of a whole model's schedule, and the cycles it predicts for it."""

from collections import Counter
from dataclasses import dataclass

from compiler.lower import Matrix
from compiler.model.lower import Layer, WholeModel
from compiler.plan.ordering import Ordering, find_order
from compiler.plan.profile import best_coding, vectors_at_once
from golden.profile import Profile
from hw.params import HwParams

__all__ = ["Measured", "measured", "predicted_cycles", "told"]

_CACHE_WIDTH = 8
_LATENCY = 60  # cycles, of the memory that is predicted for: the simulators' default
_DIVISION = 40  # cycles of one serial division: a threshold's, or a norm's or softmax's
_NO_CHOICE = {
    "tile": "{lanes} lanes x {banks} banks: the hardware's, its instructions have no other",
    "batch": "one token a pass: the program of a whole model has no other",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A schedule made from a profile.

    Attributes
    ----------
    ordering : Ordering
        Of the channels.
    codings : dict of str to str
        By site.
    cycles : dict of str to int
        Predicted for a token at `position`, by layer (``layers.N``) and for the ``head``.
    position : int
        The middle of the profile's windows.
    about : dict of str to str
        What the profile is of, and what there was no choice of, for people.
    """

    ordering: Ordering
    codings: dict[str, str]
    cycles: dict[str, int]
    position: int
    about: dict[str, str]

    @property
    def coding(self) -> str:
        """The coding of most sites."""
        return Counter(self.codings.values()).most_common(1)[0][0]

    def as_dict(self) -> dict[str, object]:
        """Return it for the manifest; ``codings`` are those that differ from most."""
        ordering = self.ordering
        return {
            **self.about,
            "coding": self.coding,
            "codings": {s: c for s, c in self.codings.items() if c != self.coding},
            "mean_run": {
                site: {"before": round(run, 3), "after": round(ordering.after[site], 3)}
                for site, run in ordering.before.items()
            },
            "position": self.position,
            "latency": _LATENCY,
            "predicted_cycles": self.cycles,
            "order": ordering.order.as_dict(),
        }


def measured(
    profile: Profile, model: WholeModel, params: HwParams, coding: str | None = None
) -> Measured:
    """Choose order and codings of a whole model by its profile; `coding`, if given, is everyone's.

    Raises
    ------
    ValueError
        Where the profile keeps too few tokens.
    """
    ordering = find_order(profile, model.config, params)
    widths = {stage.name: stage.matrices[0].weight_width for stage in model.stages}
    sharing = model.config.heads // model.config.kv_heads
    codings = {}
    for name, site in profile.sites.items():
        size = 1 if name in widths else vectors_at_once(params, sharing)
        best = best_coding(site, widths.get(name, _CACHE_WIDTH), params, size)
        codings[name] = coding or best
    of = profile.identity
    position = min(of.tokens // of.windows // 2, model.context - 1)
    return Measured(
        ordering=ordering,
        codings=codings,
        cycles=predicted_cycles(profile, model, params, codings, position),
        position=position,
        about={
            "profile": f"{of.recipe}, {of.tokens:,} tokens of {of.text}",
            **{name: text.format(**params.as_dict()) for name, text in _NO_CHOICE.items()},
        },
    )


def told(schedule: dict) -> list[str]:
    """Return what a manifest says of a schedule, in lines for people."""
    runs = schedule["mean_run"].values()
    before, after = (sum(run[key] for run in runs) / len(runs) for key in ("before", "after"))
    others = ", ".join(f"{site} {coding}" for site, coding in schedule["codings"].items())
    cycles = sum(schedule["predicted_cycles"].values())
    coding = f"coding: {schedule['coding']}{f', but {others}' if others else ''}"
    at = f"the token at position {schedule['position']:,}, memory latency {schedule['latency']}"
    return [
        f"profile: {schedule['profile']}",
        f"channels: neighbours that fire, {before:.2f} in the checkpoint's order, {after:.2f} here",
        f"{coding}: the fewest cycles of array and memory, then the fewest steps",
        f"tile: {schedule['tile']}",
        f"batch: {schedule['batch']}",
        f"predicted: {cycles:,} cycles for {at}",
    ]


def predicted_cycles(
    profile: Profile,
    model: WholeModel,
    params: HwParams,
    codings: dict[str, str],
    position: int,
    latency: int = _LATENCY,
) -> dict[str, int]:
    """Return the cycles of one token's layers and head that a profile leads to expect.

    Each product takes what its row segments take to arrive, or its additions the array, whichever
    is more. To that come the words of scales and vectors that are read, each vector's division,
    and at each step that must wait for the one before, a read and a write of memory. What else a
    step computes is taken as hidden.
    """
    cost = _Cost(profile, params, codings, latency)
    found = {layer.name: cost.layer(layer, model, position) for layer in model.layers}
    found["head"] = cost.stage(model.head.name, model.head.matrices) + cost.steps(3)
    found["head"] += 2 * _DIVISION + 5 * cost.vector(model.config.hidden_size)
    found["head"] += cost.vector(model.config.vocab_size)
    return {name: round(cycles) for name, cycles in found.items()}


class _Cost:
    """Cycles of the parts of a token."""

    ENCODED = 2  # a vector passes the encoder for its threshold, and again for its counts

    def __init__(
        self, profile: Profile, params: HwParams, codings: dict[str, str], latency: int
    ) -> None:
        self.profile, self.params, self.codings = profile, params, codings
        self.latency = latency

    def layer(self, layer: Layer, model: WholeModel, position: int) -> float:
        config, span = model.config, position + 1
        total = sum(
            self.stage(stage.name, stage.matrices)
            for stage in (layer.qkv, layer.o, layer.gate_up, layer.down)
        )
        sharing = config.heads // config.kv_heads
        batches = config.kv_heads * -(-sharing // self.params.tokens)
        # Keys are fetched by the channels of a query, values by the positions of a probability.
        keys = self.product(f"{layer.name}.query", config.head_dim, span, _CACHE_WIDTH, sharing)
        values = self.product(
            f"{layer.name}.probabilities", span, config.head_dim, _CACHE_WIDTH, sharing
        )
        total += batches * (keys + values)
        hidden, heads = self.vector(config.hidden_size), config.heads * config.head_dim
        ffn, kv_heads = self.vector(config.ffn_size), config.kv_heads * config.head_dim
        words = 2 * 3 * hidden + 2 * 2 * hidden  # norms: twice the vector, and gains; additions
        words += self.ENCODED * (2 * hidden + self.vector(heads) + ffn)
        words += 2 * ffn + self.vector(heads) + self.vector(kv_heads)  # SwiGLU, rotation
        words += self.ENCODED * (2 * self.vector(kv_heads) + self.vector(heads))  # stores, queries
        words += config.heads * (3 + self.ENCODED) * self.vector(span)  # softmax, its results
        divisions = 4 + 2 + 2 * config.kv_heads + 3 * config.heads  # encoders, norms, softmax
        return total + words + _DIVISION * divisions + self.steps(10 + batches + 1)

    def stage(self, site: str, matrices: tuple[Matrix, ...]) -> float:
        total = 0.0
        for matrix in matrices:
            total += self.product(site, matrix.channels, matrix.outputs, matrix.weight_width, 1)
            total += self.vector(matrix.outputs) * (1 + matrix.has_bias)
        return total

    def product(self, site: str, channels: int, outputs: int, width: int, sharing: int) -> float:
        params, found = self.params, self.profile.sites[site]
        size = vectors_at_once(params, sharing)
        silent = found.silent_in_batch(size) if params.skip_silent else 0.0
        tiles = params.tiles(outputs)
        words = sum(params.row_words(part, width) for part in tiles)
        beats = sum(params.row_beats(part, width) for part in tiles)
        steps = 1.0 if params.array == "mac" else found.steps(self.codings[site], size)
        return channels * (1 - silent) * max(words, beats * steps)

    def vector(self, elements: int) -> int:
        return self.params.vector_bytes(elements) // self.params.axi_bytes

    def steps(self, count: int) -> int:
        return count * 2 * self.latency
