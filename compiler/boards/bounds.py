"""What a token takes at least on a board: bytes of memory, and steps of the array."""

from collections.abc import Iterable

from compiler.boards.board import Board
from compiler.predict.activity import known
from compiler.predict.counts import count, product_counts
from compiler.predict.workload import Product, products
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams

__all__ = ["CODING", "bound", "offer", "port_bytes_per_second", "rate"]

CODING = "csd"
"""Of the spikes, on boards, unless another is asked for."""


def port_bytes_per_second(board: Board, params: HwParams, cores: int) -> float:
    """Return what the ports of all cores take at most: a word each cycle."""
    return cores * params.axi_bytes * board.clock_mhz.value * 1e6


def offer(board: Board, params: HwParams, cores: int) -> float:
    """Return the memory words that DRAM offers a core in a cycle, were its port wide enough."""
    return board.bytes_per_second / port_bytes_per_second(board, params, cores)


def rate(board: Board, params: HwParams, cores: int) -> float:
    """Return the memory words that a core gets in a cycle: what DRAM offers, at most its port's."""
    return min(1.0, offer(board, params, cores))


def bound(
    board: Board,
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    cores: int,
    position: int,
    batch: int = 1,
    head: bool = True,
    profile: Profile | None = None,
    coding: str = CODING,
) -> float:
    """Return cycles that a token takes at least: the slower of bytes and steps in each product."""
    activities = known(config, recipe, profile)(position)
    words_a_cycle = rate(board, params, cores)
    found = products(config, recipe, activities, position)
    total = 0.0
    for product, times in _alike((p for p in found if head or p.name != "lm_head"), coding):
        of = product_counts(product, params, coding, batch)
        words = (of.bytes + of.word_bytes) / params.axi_bytes / words_a_cycle
        total += times * max(words, of.steps) / cores
    counts = count(config, (), params, coding, position)
    return total + counts.read_bytes / params.axi_bytes / words_a_cycle


def _alike(found: Iterable[Product], coding: str) -> list[tuple[Product, int]]:
    """Return products that differ in their layer only as one, with how many there are."""
    alike: dict[tuple, list[Product]] = {}
    for product in found:
        shape = (product.channels, product.outputs, product.times, product.sharing)
        firing = (product.activity.silent, product.activity.spikes[coding])
        alike.setdefault((*shape, product.weight_width, *firing), []).append(product)
    return [(group[0], len(group)) for group in alike.values()]
