"""What the ledger and the boards come to for one model, as plain JSON values."""

from collections.abc import Callable

from compiler.boards.area import CELLS, estimate
from compiler.boards.board import Board, board_called, boards
from compiler.boards.bounds import CODING, port_bytes_per_second
from compiler.boards.fit import Choice, fit, misfit
from compiler.boards.forecast import forecast
from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS, Design, designs, joules, ledger
from compiler.energy.paper import PROMPT, macs, memory_joules, methods
from compiler.predict.activity import assumed, known
from compiler.predict.costs import costs
from compiler.predict.counts import Counts, count
from compiler.predict.cycles import predict
from compiler.predict.firing import published
from compiler.predict.workload import Activities, products
from compiler.programs.lower import lower
from compiler.programs.model import program_of
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["board_row", "boards_report", "energy_report", "paper_report", "predicted_cycles"]

_RANGES = [{"dram": "low"}, {"dram": "high"}, {"sram": "low"}, {"sram": "high"}]


def energy_report(
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    position: int,
    prompt: int,
    profile: Profile | None = None,
) -> dict[str, object]:
    """Return each design's joules for a token at a position, and for a token of a prompt.

    Sites fire as a profile says (``measured``) or else as is ``assumed``; and for comparison, in
    unary, as is ``published``. Raises ValueError where the hardware does not take the model, as a
    build does.
    """
    lower(config, recipe, params, max(position + 1, prompt))
    width = recipe.default.weight_bits
    activities = known(config, recipe, profile)
    here = "assumed" if profile is None else "measured"
    rows = []
    for firing, at in ((here, activities), ("published", lambda _position: published())):
        for design in designs(width):
            if firing == "published" and (design.coding != "unary"):
                continue
            row = _row(config, recipe, params, position, prompt, design, at)
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
) -> dict[str, object]:
    def counted(at: int, batch: int, head: bool) -> Counts:
        found = products(config, recipe, activities(at), at)
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


def paper_report(config: ModelConfig, recipe: Recipe, params: HwParams) -> dict[str, object]:
    """Return the paper's joules for its prompt, and with weights and cache in DRAM."""
    rows = []
    middle = (PROMPT - 1) // 2
    for method in methods(config, recipe):
        row: dict[str, object] = {"method": method.name, "arithmetic": method.joules}
        for dram in ("dram_ddr4", "dram_hbm2"):
            for batch in (PROMPT, 64, params.tokens):
                more = memory_joules(method, config, recipe, params, middle, batch, dram)
                row[f"prompt {dram} {batch}"] = method.joules + PROMPT * more
            more = memory_joules(method, config, recipe, params, PROMPT - 1, 1, dram)
            row[f"decode {dram}"] = method.joules / PROMPT + more
        rows.append(row)
    return {"model": config.name, "macs": macs(config, recipe), "prompt": PROMPT, "methods": rows}


def boards_report(
    config: ModelConfig,
    recipe: Recipe,
    position: int,
    prompt: int,
    profile: Profile | None = None,
    only: str | None = None,
    coding: str = CODING,
) -> dict[str, object]:
    """Return what is picked for each board, and what it would do; sites fire as in `fit`.

    `only` is the key of a board to look at alone.
    """
    looked_at = boards().values() if only is None else [board_called(only)]
    return {
        "model": config.name,
        "recipe": recipe.name,
        "coding": coding,
        "position": position,
        "prompt": prompt,
        "firing": known(config, recipe, profile)(position)(0, "qkv").source,
        "boards": [
            board_row(
                board,
                fit(board, config, recipe, max(position, prompt - 1), profile, coding),
                config,
                recipe,
                position,
                prompt,
                profile,
                coding,
            )
            for board in looked_at
        ],
    }


def board_row(
    board: Board,
    choice: Choice,
    config: ModelConfig,
    recipe: Recipe,
    position: int,
    prompt: int,
    profile: Profile | None,
    coding: str = CODING,
) -> dict[str, object]:
    """Return a board's values, what was picked for it and why, and what that would do there."""
    row: dict[str, object] = {
        "key": board.key,
        "board": board.name,
        "values": {name: vars(value) for name, value in board.values.items()},
        "reason": choice.reason,
        "edge": misfit(estimate(preset("edge"), board.family), board),
    }
    if choice.params is None or choice.area is None:
        return row
    found = forecast(board, choice, config, recipe, position, prompt, profile, coding)
    return row | {
        "params": choice.params.as_dict(),
        "cores": choice.cores,
        "port_gigabytes_per_second": port_bytes_per_second(board, choice.params, choice.cores)
        / 1e9,
        "dram_gigabytes_per_second": board.bytes_per_second / 1e9,
        "cells_per_core": {cell: round(getattr(choice.area, cell)) for cell in CELLS},
        **vars(found),
        "bound": found.bound,
    }


def predicted_cycles(config: ModelConfig, recipe: Recipe, params: HwParams, position: int) -> float:
    """Return the cycles of a token on a memory that delivers a word each cycle."""
    model = lower(config, recipe, params, position + 1)
    program, _ = program_of(model, params, CODING)
    activities = assumed(config, recipe, position)
    return predict(costs(model, program, params, activities, position), params).cycles
