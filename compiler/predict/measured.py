"""What a profile chooses of a whole model's schedule, and the cycles it predicts for it."""

from collections import Counter
from dataclasses import dataclass

from compiler.passes.loop import Program
from compiler.predict.activity import profiled
from compiler.predict.coding import best_coding, vectors_at_once
from compiler.predict.costs import costs
from compiler.predict.cycles import LATENCY, predict
from compiler.predict.ordering import Ordering, find_order
from compiler.programs.lower import WholeModel
from golden.measure.profile import Profile
from hw.contract.params import HwParams

__all__ = ["Measured", "measured", "predicted_cycles", "told"]

_CACHE_WIDTH = 8
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
    position : int
        The middle of the profile's windows, for which cycles are predicted.
    about : dict of str to str
        What the profile is of, and what there was no choice of, for people.
    """

    ordering: Ordering
    codings: dict[str, str]
    position: int
    about: dict[str, str]

    @property
    def coding(self) -> str:
        """The coding of most sites."""
        return Counter(self.codings.values()).most_common(1)[0][0]

    def as_dict(self, cycles: dict[str, int], words_a_cycle: float) -> dict[str, object]:
        """Return it, with its `predicted_cycles` on such a memory, for the manifest."""
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
            "latency": LATENCY,
            "words_a_cycle": words_a_cycle,
            "predicted_cycles": cycles,
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
    if (words := schedule.get("words_a_cycle", 1)) != 1:
        at += f", {words:.3g} memory words a cycle"
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
    program: Program,
    params: HwParams,
    position: int,
    latency: int = LATENCY,
    words_a_cycle: float = 1.0,
) -> dict[str, int]:
    """Return the cycles of the token at a position that a profile leads to expect.

    By layer, and for the ``head`` with embedding and control (`compiler.predict.cycles`), on a
    memory of such a latency that delivers so many words a cycle, at most 1.
    """
    activities = profiled(profile)(position)
    of_token = costs(model, program, params, activities, position)
    found = predict(of_token, params, latency, words_a_cycle)
    return {
        "head" if layer is None else f"layers.{layer}": round(sum(causes.values()))
        for layer, causes in sorted(
            found.layers.items(), key=lambda item: (item[0] is None, item[0] or 0)
        )
    }
