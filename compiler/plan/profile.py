"""A profile as the planners take it, and the coding that it says is best for each site."""

from compiler.plan.workload import Activities, Activity
from golden.profile import BATCHES, SPIKE_CODINGS, Profile, SiteProfile
from hw.params import HwParams

__all__ = ["activities", "best_coding", "vectors_at_once"]


def activities(profile: Profile) -> Activities:
    """Return how the sites of a profile fire, as `compiler.plan.workload.products` takes it."""
    of = profile.identity

    def find(layer: int | None, kind: str) -> Activity:
        site = profile.site(layer, kind)
        return Activity(
            silent=site.silent,
            spikes={coding: site.spikes(coding) for coding in SPIKE_CODINGS},
            source=f"profile of {of.model}, {of.recipe}, {of.tokens:,} tokens of {of.text}",
        )

    return find


def vectors_at_once(params: HwParams, sharing: int) -> int:
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
