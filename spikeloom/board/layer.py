"""A known layer on a board, held against the golden model: every word, every counter."""

from collections.abc import Callable, Sequence
from pathlib import Path

from golden.checkpoint.prompt import Prompt
from golden.recipe.known import DEFAULT_RECIPE
from golden.recipe.recipe import load_recipe
from hw.contract.params import HwParams
from sim.check.case import Case, of_layers
from sim.check.verdict import Verdict, judge
from sim.device import Result
from sim.devices import open_device
from spikeloom.board.board import Board

__all__ = ["known_layer", "run_layer"]


def known_layer(
    params: HwParams,
    directory: Path,
    *,
    model: str = "stories260k",
    layers: Sequence[str] = ("mlp0",),
    prompt: Prompt | None = None,
    say: Callable[[str], None] = lambda _doing: None,
) -> Case:
    """Compile a layer, with inputs, and what golden says they give.

    Parameters
    ----------
    params : HwParams
        The hardware.
    directory : Path
        Where the compiled layer is written.
    model, layers, prompt
        As `sim.check.case.of_layers` takes them.
    say : callable
        Is told what is being done.
    """
    return of_layers(
        model,
        list(layers),
        params=params,
        recipe=load_recipe(DEFAULT_RECIPE),
        coding="csd",
        rows=None,
        prompt=prompt,
        tokens=None,
        directory=lambda _model, _tokens: directory,
        say=say,
    )


def run_layer(board: Board, case: Case) -> tuple[Result, Verdict]:
    """Run a layer on a board; returns what came of it, and how it compares with golden."""
    compiled = case.compiled
    functional = open_device("functional", compiled.params).run(compiled, case.inputs)
    result = board.run(compiled, case.inputs)
    return result, judge(compiled, case.expected, functional, result, board.name)
