"""What a sweep is asked for, and the points of its grid."""

from dataclasses import dataclass
from pathlib import Path

from compiler.boards.board import board_called
from compiler.passes.coding import check_coding
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.prompt import prompt_ids
from golden.recipe.known import DEFAULT_RECIPE
from hw.contract.presets import preset
from sim.check.activations import default_prompt
from sim.device import Timing
from sim.sweep import grid
from sim.sweep.grid import Configuration

__all__ = ["SweepRequest", "configurations", "prompt_of"]

_MOST = 100_000  # configurations


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What to sweep: see ``python -m sim sweep --help``; None stands for the default.

    Attributes
    ----------
    axes : tuple of str
        Texts for `sim.sweep.grid.parse`.
    model, layer, preset, coding, recipe, prompt : str or None
        What is measured; the grid overrides some of it.
    prompt_tokens : int or None
        Vectors of each site, from the prompt's last token backwards.
    board : str or None
        Whose clock, FPGA and memory are taken.
    timing : Timing
        Of the memory.
    workers : int
        Processes of the cluster on this machine.
    scheduler : str or None
        Address of another cluster.
    output : Path or None
        Directory of the result.
    """

    axes: tuple[str, ...]
    model: str | None = None
    layer: str | None = None
    preset: str | None = None
    coding: str | None = None
    recipe: str | None = None
    prompt: str | None = None
    prompt_tokens: int | None = None
    board: str | None = None
    timing: Timing = Timing()
    workers: int = 2
    scheduler: str | None = None
    output: Path | None = None


def configurations(request: SweepRequest) -> list[Configuration]:
    """Return the grid's points; raises ValueError where it has a name that nothing has."""
    axes = grid.parse(request.axes)
    for name in ("coding", "recipe"):
        if name in axes and getattr(request, name) is not None:
            raise ValueError(f"{name} is in the grid: leave out --{name}")
    if request.board is not None:
        board_called(request.board)
    points = 1
    for values in axes.values():
        points *= len(values)
    if points > _MOST:
        raise ValueError(f"the grid has {points:,} configurations: give it at most {_MOST:,}")
    found = grid.configurations(
        preset(request.preset or "edge"),
        axes,
        request.coding or "csd",
        request.recipe or DEFAULT_RECIPE,
    )
    for coding in {point.coding for point in found}:
        check_coding(coding)
    return found


def prompt_of(
    request: SweepRequest, checkpoint: Checkpoint, points: list[Configuration]
) -> tuple[str, int]:
    """Return the prompt, and how many of its tokens all configurations compute."""
    prompt = request.prompt
    if prompt is None:
        prompt = default_prompt(checkpoint.config.name)
    if request.prompt_tokens is not None:
        return prompt, request.prompt_tokens
    most = max(int(point.hardware["tokens"]) for point in points)
    return prompt, max(1, min(most, len(prompt_ids(checkpoint, prompt))))
