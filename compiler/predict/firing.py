"""How models fire by what is published of them: an alternative to `compiler.predict.activity`."""

from compiler.predict.workload import Activities, Activity

__all__ = ["CODINGS", "published"]

CODINGS = ("unary", "bitwise", "csd")
"""Those that hardware has."""

_SPIKES = 0.862
_SILENT = 0.184


def published() -> Activities:
    """Return what the paper's joules imply, at every site and in every coding alike.

    Its 0.67 J rest on 0.862 spikes a value. What share of the channels is silent it does not say:
    18.4 % is SpikingBrain-7B's, of the same group.
    """
    activity = Activity(
        silent=_SILENT,
        spikes=dict.fromkeys(CODINGS, _SPIKES),
        source="published: 0.862 spikes a value (from arXiv 2604.16475's joules), 18.4 % silent "
        "(SpikingBrain-7B's)",
    )
    return lambda _layer, _site: activity
