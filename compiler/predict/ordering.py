"""Finds the order of a model's channels in which those that fire together lie together.

A run of neighbours that fire is one stretch of memory, whose row segments merge into long bursts.
The runs of a token are as many as the places where a channel fires and the one before it does not;
over tokens that is half the Hamming distance between neighbours' firing patterns. So an order with
few runs is a short path through all channels: it goes from each to the nearest one left.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compiler.passes.order import ChannelOrder
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import MATRICES
from golden.measure.profile import Profile
from hw.contract.params import HwParams

__all__ = ["Ordering", "find_order", "mean_run", "nearest_path"]

_JUDGED = 4  # every fourth of the kept tokens judges an order, and does not help to find it


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """An order, and what it does on the tokens that it was not found on.

    Attributes
    ----------
    order : ChannelOrder
        Each part as found, or unchanged where that has runs as long.
    before, after : dict of str to float
        By site, the mean run of neighbouring channels that fire.
    """

    order: ChannelOrder
    before: dict[str, float]
    after: dict[str, float]


def find_order(profile: Profile, config: ModelConfig, params: HwParams) -> Ordering:
    """Find an order from the tokens that a profile keeps.

    Raises
    ------
    ValueError
        Where there are too few of them to find an order and to judge it.
    """
    sites = {name: site.firing() for name, site in profile.sites.items() if len(site.bitmaps)}
    if any(len(fires) < 2 * _JUDGED for fires in sites.values()):
        raise ValueError(
            f"the profile keeps fewer than {2 * _JUDGED} tokens, too few for an order of the "
            "channels: record one with a larger --keep and more --tokens"
        )
    judged = {name: fires[::_JUDGED] for name, fires in sites.items()}
    seen = {name: np.delete(x, np.s_[::_JUDGED], axis=0) for name, x in sites.items()}
    own = ChannelOrder.unchanged(config)

    on_stream = {
        name: _bursts(name, config, params) for name in sites if not name.endswith((".o", ".down"))
    }
    stream = _found(
        [(seen[name], bursts) for name, bursts in on_stream.items()],
        [(judged[name], bursts) for name, bursts in on_stream.items()],
    )
    down, values = [], []
    for layer in range(config.layers):
        name = f"layers.{layer}.down"
        down.append(_found([(seen[name], 1)], [(judged[name], 1)]))
        name = f"layers.{layer}.o"
        heads = zip(_by_head(seen[name], config), _by_head(judged[name], config), strict=True)
        values.append(np.stack([_found([(a, 1)], [(b, 1)]) for a, b in heads]))
    order = ChannelOrder(config, stream, tuple(down), tuple(values))
    kinds = {site: matrix for matrix, site in MATRICES.items()} | {"head": "lm_head"}

    def runs(of: ChannelOrder) -> dict[str, float]:
        found = {}
        for name, fires in judged.items():
            place, _, kind = name.rpartition(".")
            matrix = f"{place}.{kinds[kind]}" if place else kinds[kind]
            found[name] = mean_run(fires[:, of.inputs(matrix)])
        return found

    return Ordering(order=order, before=runs(own), after=runs(order))


def mean_run(fires: np.ndarray) -> float:
    """Return the mean length of runs of True along the rows of (tokens, channels); 0 for none."""
    return float(np.count_nonzero(fires) / max(1, _runs(fires)))


def nearest_path(distances: np.ndarray, start: int) -> np.ndarray:
    """Return a path through all points, from `start` always to the nearest one left.

    Parameters
    ----------
    distances : ndarray
        (points, points), symmetric.
    start : int
        The first point.

    Returns
    -------
    ndarray
        The points in the order of the path; of equally near ones, the lowest first.
    """
    path = np.empty(len(distances), np.int64)
    left = np.zeros(len(distances))  # infinite where the path has been
    for at in range(len(distances)):
        path[at] = start
        left[start] = np.inf
        start = int((distances[start] + left).argmin())
    return path


def _found(seen: Iterable[tuple], judged: Iterable[tuple]) -> np.ndarray:
    """Return an order found on firing patterns with weights, if it holds on those that judge."""
    seen, judged = list(seen), list(judged)
    channels = seen[0][0].shape[1]
    distances = np.zeros((channels, channels), np.float32)
    rates = np.zeros(channels)
    for fires, weight in seen:
        fires = fires.astype(np.float32)
        fired = fires.sum(axis=0)
        distances += weight * (fired[:, None] + fired - 2 * (fires.T @ fires))
        rates += weight * fired
    path = nearest_path(distances, int(rates.argmax()))
    before, after = (
        sum(weight * _runs(fires[:, order]) for fires, weight in judged)
        for order in (np.arange(channels), path)
    )
    return path if after < before else np.arange(channels)


def _runs(fires: np.ndarray) -> int:
    """Return the runs of True along the rows of (tokens, channels)."""
    begins = fires[:, 1:] & ~fires[:, :-1]
    return int(np.count_nonzero(begins) + np.count_nonzero(fires[:, 0]))


def _by_head(fires: np.ndarray, config: ModelConfig) -> list[np.ndarray]:
    """Return the channels of o by kv head, its query heads below each other."""
    shape = (len(fires), config.kv_heads, -1, config.head_dim)
    by_head = fires.reshape(shape).transpose(1, 0, 2, 3)  # (kv_heads, tokens, group, head_dim)
    return [*by_head.reshape(config.kv_heads, -1, config.head_dim)]


def _bursts(site: str, config: ModelConfig, params: HwParams) -> int:
    """Return the row segments that one channel of a site on the stream has: what a run costs."""
    if site == "head":
        return len(params.tiles(config.vocab_size))
    outputs = {
        "q": config.heads * config.head_dim,
        "k": config.kv_heads * config.head_dim,
        "v": config.kv_heads * config.head_dim,
        "gate": config.ffn_size,
        "up": config.ffn_size,
    }
    kind = site.rpartition(".")[2]
    return sum(len(params.tiles(n)) for matrix, n in outputs.items() if MATRICES[matrix] == kind)
