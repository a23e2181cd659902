"""The coding that a profile says is best for a site."""

from golden.measure.profile import BATCHES, SPIKE_CODINGS, SiteProfile
from hw.contract.params import HwParams

__all__ = ["best_coding", "vectors_at_once"]


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
