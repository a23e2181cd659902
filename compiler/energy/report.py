"""What the ledger comes to for a model's token, design by design, as plain JSON values."""

from collections.abc import Callable
from typing import Any

from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS, Design, designs, joules, ledger
from compiler.passes.model import lower
from compiler.predict.activity import CODING, known, published
from compiler.predict.counts import Counts, count
from compiler.predict.workload import Activities, products, usual_width
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams

__all__ = ["energy_report"]

_RANGES = [{"dram": "low"}, {"dram": "high"}, {"sram": "low"}, {"sram": "high"}]


def energy_report(
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    position: int,
    prompt: int,
    profile: Profile | None = None,
    grids: Grids = no_grid,
) -> dict[str, Any]:
    """Return each design's joules for a token at a position, and for a token of a prompt.

    Sites fire as a profile says (``measured``) or else as is ``assumed``; and for comparison, in
    unary, as is ``published``. Raises ValueError where the hardware does not take the model, as a
    build does.
    """
    lower(config, recipe, params, max(position + 1, prompt), grids)
    width = usual_width(config, recipe, grids)
    activities = known(config, recipe, profile)
    here = "assumed" if profile is None else "measured"
    rows = []
    for firing, at in ((here, activities), ("published", lambda _position: published())):
        for design in designs(width):
            if firing == "published" and (design.coding != "unary"):
                continue
            row = _row(config, recipe, params, position, prompt, design, at, grids)
            rows.append({"design": design.name, "firing": firing, **row})
    return {
        "model": config.name,
        "recipe": recipe.name,
        "hardware": params.as_dict(),
        "position": position,
        "prompt": prompt,
        "batches": _batches(params, prompt),
        "firing": activities(position)(0, "qkv").source,
        "designs": rows,
        "constants": {name: vars(constant) for name, constant in constants().items()},
    }


def _batches(params: HwParams, prompt: int) -> list[int]:
    return sorted({1, params.tokens, prompt})


def _row(
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    position: int,
    prompt: int,
    design: Design,
    activities: Callable[[int], Activities],
    grids: Grids,
) -> dict[str, object]:
    def counted(at: int, batch: int, head: bool) -> Counts:
        found = products(config, recipe, activities(at), at, grids)
        found = [product for product in found if head or product.name != "lm_head"]
        return count(config, found, params, design.coding or CODING, at, batch)

    entries = ledger(design, counted(position, 1, True), params)
    by_batch = {}
    for batch in _batches(params, prompt):
        of_prompt = counted((prompt - 1) // 2, batch, False)
        by_batch[str(batch)] = joules(ledger(design, of_prompt, params, rows=batch))
    return {
        "joules": joules(entries),
        "groups": {group: joules(entries, [group]) for group in GROUPS},
        "range": {" ".join(*levels.items()): joules(entries, levels=levels) for levels in _RANGES},
        "prompt_joules_per_token": by_batch,
        "entries": [entry.as_dict() for entry in entries],
    }
