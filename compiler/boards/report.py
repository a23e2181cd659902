"""What is picked for each board, and what it would do there, as plain JSON values."""

from typing import Any

from compiler.boards.area import CELLS, estimate
from compiler.boards.board import Board, board_called, boards
from compiler.boards.fit import Choice, fit, misfit
from compiler.boards.forecast import forecast
from compiler.passes.model import lower
from compiler.passes.program import image_of_model
from compiler.predict.activity import CODING, assumed, known
from compiler.predict.costs import costs
from compiler.predict.cycles import predict
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["board_row", "boards_report", "predicted_cycles"]


def boards_report(
    config: ModelConfig,
    recipe: Recipe,
    position: int,
    prompt: int,
    profile: Profile | None = None,
    only: str | None = None,
    coding: str = CODING,
    grids: Grids = no_grid,
) -> dict[str, Any]:
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
                fit(board, config, recipe, max(position, prompt - 1), profile, coding, grids),
                config,
                recipe,
                position,
                prompt,
                profile,
                coding,
                grids,
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
    grids: Grids = no_grid,
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
    found = forecast(board, choice, config, recipe, position, prompt, profile, coding, grids)
    return row | {
        "params": choice.params.as_dict(),
        "cores": choice.cores,
        "port_gigabytes_per_second": board.port_bytes_per_second(choice.params, choice.cores) / 1e9,
        "dram_gigabytes_per_second": board.bytes_per_second / 1e9,
        "cells_per_core": {cell: round(getattr(choice.area, cell)) for cell in CELLS},
        **vars(found),
        "bound": found.bound,
    }


def predicted_cycles(config: ModelConfig, recipe: Recipe, params: HwParams, position: int) -> float:
    """Return the cycles of a token on a memory that delivers a word each cycle."""
    model = lower(config, recipe, params, position + 1)
    program = image_of_model(model, params, CODING).program
    activities = assumed(config, recipe, position)
    return predict(costs(program, params, activities, position), params).cycles
