"""What a profile chooses of a whole model's schedule, and the cycles it predicts for it."""

from collections import Counter
from dataclasses import dataclass

from compiler.passes.model import WholeModel
from compiler.passes.program import Program
from compiler.predict.activity import profiled
from compiler.predict.costs import costs
from compiler.predict.cycles import LATENCY, predict
from golden.measure.profile import BATCHES, SPIKE_CODINGS, Profile, SiteProfile
from hw.contract.params import CACHE_WIDTH, HwParams

__all__ = ["Measured", "best_coding", "measured", "predicted_cycles", "told"]

_NO_CHOICE = {
    "tile": "{lanes} lanes x {banks} banks: the hardware's, its instructions have no other",
    "batch": "one token a pass: the program of a whole model has no other",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A schedule made from a profile.

    Attributes
    ----------
    codings : dict of str to str
        By site.
    position : int
        The middle of the profile's windows, for which cycles are predicted.
    about : dict of str to str
        What the profile is of, and what there was no choice of, for people.
    """

    codings: dict[str, str]
    position: int
    about: dict[str, str]

    @property
    def coding(self) -> str:
        """The coding of most sites."""
        return Counter(self.codings.values()).most_common(1)[0][0]

    def as_dict(self, cycles: dict[str, int], words_a_cycle: float) -> dict[str, object]:
        """Return it, with its `predicted_cycles` on such a memory, for the manifest."""
        return {
            **self.about,
            "coding": self.coding,
            "codings": {s: c for s, c in self.codings.items() if c != self.coding},
            "position": self.position,
            "latency": LATENCY,
            "words_a_cycle": words_a_cycle,
            "predicted_cycles": cycles,
        }


def measured(
    profile: Profile, model: WholeModel, params: HwParams, coding: str | None = None
) -> Measured:
    """Choose a whole model's codings by its profile; `coding`, if given, is every site's."""
    widths = {stage.name: stage.matrices[0].weight_width for stage in model.stages}
    sharing = model.config.heads // model.config.kv_heads
    codings = {}
    for name, site in profile.sites.items():
        size = 1 if name in widths else _vectors_at_once(params, sharing)
        best = best_coding(site, widths.get(name, CACHE_WIDTH), params, size)
        codings[name] = coding or best
    of = profile.identity
    position = min(of.tokens // of.windows // 2, model.context - 1)
    return Measured(
        codings=codings,
        position=position,
        about={
            "profile": f"{of.recipe}, {of.tokens:,} tokens of {of.text}",
            **{name: text.format(**params.as_dict()) for name, text in _NO_CHOICE.items()},
        },
    )


def _vectors_at_once(params: HwParams, sharing: int) -> int:
    """Return the batch of a profile nearest to what passes the array together.

    `sharing` is the vectors that share weights: 1, or the query heads of a kv head.
    """
    most = min(params.tokens, sharing)
    return max(size for size in BATCHES if size <= most)


def best_coding(site: SiteProfile, weight_width: int, params: HwParams, size: int) -> str:
    """Return the coding in which an event costs the fewest cycles, then the fewest steps.

    A beat takes memory ``lanes * weight_width / axi_data_width`` cycles to deliver and the array
    its steps to spend; the larger of the two counts.
    """
    memory = params.lanes * weight_width / params.axi_data_width

    def cost(coding: str) -> tuple[float, float]:
        steps = 1.0 if params.array == "mac" else site.steps(coding, size)
        return max(memory, steps), steps

    codings = ("csd", *(coding for coding in SPIKE_CODINGS if coding != "csd"))
    return min(codings, key=cost)  # of equals, csd


def told(schedule: dict) -> list[str]:
    """Return what a manifest says of a schedule, in lines for people."""
    others = ", ".join(f"{site} {coding}" for site, coding in schedule["codings"].items())
    cycles = sum(schedule["predicted_cycles"].values())
    coding = f"coding: {schedule['coding']}{f', but {others}' if others else ''}"
    at = f"the token at position {schedule['position']:,}, memory latency {schedule['latency']}"
    if (words := schedule.get("words_a_cycle", 1)) != 1:
        at += f", {words:.3g} memory words a cycle"
    return [
        f"profile: {schedule['profile']}",
        f"{coding}: the fewest cycles of array and memory, then the fewest steps",
        f"tile: {schedule['tile']}",
        f"batch: {schedule['batch']}",
        f"predicted: {cycles:,} cycles for {at}",
    ]


def predicted_cycles(
    profile: Profile,
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
    of_token = costs(program, params, activities, position)
    found = predict(of_token, params, latency, words_a_cycle)
    return {
        "head" if layer is None else f"layers.{layer}": round(sum(causes.values()))
        for layer, causes in sorted(
            found.layers.items(), key=lambda item: (item[0] is None, item[0] or 0)
        )
    }
