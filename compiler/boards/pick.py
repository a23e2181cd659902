"""An accelerator picked for a board and a model, with what a build on it needs to know."""

from dataclasses import dataclass, replace

from compiler.boards.board import Board, Value, board_called
from compiler.boards.fit import Choice, fit, memory_bytes
from compiler.boards.report import board_row
from compiler.passes.coding import check_coding
from compiler.predict.activity import CODING
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams

__all__ = ["Picked", "pick"]

_POSITIONS = 1024
"""Of a prompt, and up to the token that is looked at, unless others are asked for."""


@dataclass(frozen=True, kw_only=True)
class Picked:
    """An accelerator for a board.

    Attributes
    ----------
    board : Board
        What it is for.
    choice : Choice
        What was picked; programs are for one core of it.
    config, recipe, profile, grids
        The model, how it becomes spike-driven, how it was measured to spike, if it was, and what
        returns the grid that a matrix is on.
    position, prompt : int
        The token and the tokens of a prompt for which it was picked.
    coding : str
        The coding for which it was picked.
    context : int
        Positions that a build makes room for.
    memory : int
        Bytes that a build must fit in.
    """

    board: Board
    choice: Choice
    config: ModelConfig
    recipe: Recipe
    profile: Profile | None
    position: int
    prompt: int
    coding: str
    context: int
    memory: int
    grids: Grids

    @property
    def params(self) -> HwParams:
        """One core."""
        assert self.choice.params is not None  # pick refuses
        return self.choice.params

    @property
    def words_a_cycle(self) -> float:
        """What memory delivers to one core that has it for itself."""
        return self.board.rate(self.params, 1)

    @property
    def hertz(self) -> float:
        """The board's clock."""
        return self.board.clock_mhz.value * 1e6

    def row(self) -> dict[str, object]:
        """Return what all cores would do, as `compiler.boards.report.boards_report` has it."""
        about = (self.config, self.recipe, self.position, self.prompt)
        about = (*about, self.profile, self.coding, self.grids)
        asked = {"coding": self.coding, "position": self.position, "prompt": self.prompt}
        return asked | board_row(self.board, self.choice, *about)


def pick(
    key: str,
    config: ModelConfig,
    recipe: Recipe,
    *,
    position: int | None = None,
    context: int | None = None,
    memory: int | None = None,
    profile: Profile | None = None,
    coding: str = CODING,
    clock_mhz: float | None = None,
    grids: Grids = no_grid,
) -> Picked:
    """Pick an accelerator for a build.

    Parameters
    ----------
    key : str
        Of the board.
    config, recipe, profile, coding, grids
        As of `compiler.boards.fit.fit`.
    position : int, optional
        Of the token that it is picked for; by default 1,023, or the last one.
    context : int, optional
        Positions to make room for; by default all that model, accelerator and memory have, but for
        halves: the most positions are halved until they fit.
    memory : int, optional
        Bytes to fit in; by default all that the board has.
    clock_mhz : float, optional
        What it is clocked with; by default as the board's file assumes.

    Raises
    ------
    ValueError
        Where there is no such board or coding, nothing fits, or it has less memory.
    """
    board = board_called(key)
    if clock_mhz is not None:
        board = replace(board, clock_mhz=Value(value=clock_mhz, source="as asked for with --clock"))
    check_coding(coding)
    capacity = int(board.capacity_bytes.value)
    if memory is not None and memory > capacity:
        raise ValueError(
            f"--memory must be at most {capacity:,} bytes, which {board.name} has, not {memory:,}"
        )
    memory = memory or capacity
    last = max(0, min(context or config.max_positions, config.max_positions) - 1)
    at = min(last, _POSITIONS - 1 if position is None else max(0, position))
    prompt = min(_POSITIONS, last + 1)
    least = last if context is not None else max(at, prompt - 1)
    choice = fit(board, config, recipe, least, profile, coding, grids)
    if choice.params is None:
        raise ValueError(choice.reason)
    if context is None:
        context = min(config.max_positions, choice.params.max_channels)
        while (
            context > least and memory_bytes(config, recipe, choice.params, context, grids) > memory
        ):
            context //= 2
        context = max(context, least + 1)
    return Picked(
        board=board,
        choice=choice,
        config=config,
        recipe=recipe,
        profile=profile,
        position=at,
        prompt=prompt,
        coding=coding,
        context=context,
        memory=memory,
        grids=grids,
    )
