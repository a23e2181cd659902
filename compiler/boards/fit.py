"""Which accelerator suits a board and a model: the one whose token takes least, at least."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from compiler.boards.area import Area, estimate
from compiler.boards.board import Board
from compiler.passes.model import lower
from compiler.passes.place import place_model
from compiler.predict.activity import CODING, known
from compiler.predict.counts import count, product_counts
from compiler.predict.workload import Product, products, usual_width
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["ROUTABLE", "Choice", "bound", "candidates", "fit", "memory_bytes", "misfit"]

ROUTABLE = 0.8
"""Share of the LUTs that may be used: an estimate; the memory's controller needs some too."""
ROW_BYTES = 1024
"""Shortest full row segment that is chosen: an estimate, a page of DDR3 x16 is 2 KiB."""
_SLOTS = 1024  # of a program: more than any has
_SAME = 1.02  # of two arrays as fast as each other within this, the smaller one is taken
_NAMES = {
    "all_luts": "LUTs",
    "flip_flops": "flip-flops",
    "dsps": "DSPs",
    "block_rams": "block RAMs",
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was picked for a board.

    Attributes
    ----------
    params : HwParams or None
        One core; None where nothing fits.
    cores : int
        How many.
    area : Area or None
        Of one core.
    reason : str
        Why so, or why none: one sentence.
    """

    params: HwParams | None
    cores: int = 0
    area: Area | None = None
    reason: str


def candidates(board: Board, max_channels: int, weight_width: int) -> Iterator[HwParams]:
    """Yield the accelerators to choose from, near those that the area model was measured on.

    Shorter row segments would cost less, but DRAM delivers its share of the peak only in long runs,
    which the prediction does not know.
    """
    base = preset("edge")
    for width in (64, 128, 256):
        for tokens in (1, 2, 4):
            for lanes in (16, 32, 64, 128):
                for banks in (16, 32):
                    row_bytes = lanes * banks * weight_width // 8
                    if width <= board.port_width.value and row_bytes >= ROW_BYTES:
                        yield replace(
                            base,
                            tokens=tokens,
                            lanes=lanes,
                            banks=banks,
                            axi_data_width=width,
                            max_channels=max_channels,
                        )


def misfit(area: Area, board: Board) -> str | None:
    """Return what a board is short of for an accelerator, or None."""
    lacks = []
    for name, words in _NAMES.items():
        field = name.removeprefix("all_")
        offered = getattr(board, field).value * (ROUTABLE if field == "luts" else 1)
        if getattr(area, name) > offered:
            lacks.append(f"{getattr(area, name):,.0f} of {offered:,.0f} {words}")
    return " and ".join(lacks) or None


def fit(
    board: Board,
    config: ModelConfig,
    recipe: Recipe,
    position: int,
    profile: Profile | None = None,
    coding: str = CODING,
    grids: Grids = no_grid,
) -> Choice:
    """Return the fastest accelerator for a model that fits a board, the smallest of equals.

    Its sites fire in a coding as a profile says, or else as is assumed
    (`compiler.predict.activity.known`); `grids` is of the model's file, see
    `golden.model.prepare.grids`.
    """
    channels = max(config.hidden_size, config.heads * config.head_dim, config.ffn_size, 64)
    max_channels = 1 << (max(channels, position + 1) - 1).bit_length()
    if max_channels > 1 << 15:
        return Choice(params=None, reason=f"no accelerator has {max_channels:,} channels")
    found: list[tuple[float, HwParams, int, Area]] = []
    short: list[tuple[float, str]] = []
    for params in candidates(board, max_channels, usual_width(config, recipe, grids)):
        area = estimate(params, board.family)
        lack = misfit(area, board)
        if lack is not None:
            short.append((area.all_luts, lack))
            continue
        cores = _cores(area, board)
        about = {"profile": profile, "coding": coding, "grids": grids}
        cycles = bound(board, config, recipe, params, cores, position, **about)
        found.append((cycles, params, cores, area))
    if not found:
        least = min(short)[1]
        return Choice(params=None, reason=f"no array fits {board.name}: the smallest needs {least}")
    best = min(cycles for cycles, *_ in found)
    equals = [entry for entry in found if entry[0] <= _SAME * best]
    _, params, cores, area = min(equals, key=lambda entry: entry[2] * entry[3].all_luts)
    needed = memory_bytes(config, recipe, params, position + 1, grids)
    if needed > board.capacity_bytes.value:
        reason = (
            f"{config.name} needs {needed:,} bytes of memory at {position + 1:,} positions, but "
            f"{board.name} has {board.capacity_bytes.value:,.0f}: choose fewer bits of a weight, a "
            "shorter context or another board"
        )
        return Choice(params=None, reason=reason)
    reason = "the fastest that fits, the smallest of equals"
    if params.axi_data_width < board.port_width.value:
        twice = replace(params, axi_data_width=2 * params.axi_data_width)
        lack = misfit(estimate(twice, board.family), board)
        if lack is not None:
            reason += f"; a memory port twice as wide would need {lack}"
    return Choice(params=params, cores=cores, area=area, reason=reason)


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
    grids: Grids = no_grid,
) -> float:
    """Return cycles that a token takes at least: the slower of bytes and steps in each product."""
    activities = known(config, recipe, profile)(position)
    words_a_cycle = board.rate(params, cores)
    found = products(config, recipe, activities, position, grids)
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
        alike.setdefault((*shape, product.weight_width, product.groups, *firing), []).append(
            product
        )
    return [(group[0], len(group)) for group in alike.values()]


def _cores(area: Area, board: Board) -> int:
    """Return how many cores fit, at most one a port: a power of two."""
    cores = 1
    while 2 * cores <= board.ports.value:
        many = Area(**{k: v * 2 * cores for k, v in vars(area).items()})
        if misfit(many, board) is not None:
            break
        cores *= 2
    return cores


def memory_bytes(
    config: ModelConfig, recipe: Recipe, params: HwParams, context: int, grids: Grids = no_grid
) -> int:
    """Return the bytes that a model takes, but for the records of its layers."""
    model = lower(config, recipe, params, min(context, config.max_positions), grids)
    last = [*place_model(model, params, slots=_SLOTS).values()][-1]
    return last.address + last.bytes
