"""A whole model on some hardware, planned: program, memory map, and how long a token takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.program import Compiled, load
from compiler.passes.emit import emit_program
from compiler.passes.model import WholeModel, lower
from compiler.passes.place import Region
from compiler.passes.program import Image, Program, image_of_model
from compiler.predict.activity import assumed
from compiler.predict.costs import costs
from compiler.predict.cycles import LATENCY, Prediction, predict
from compiler.predict.workload import Activities, Product, products
from compiler.storage.directory import replacing
from golden.checkpoint.config import ModelConfig
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["Plan", "make_plan", "write_plan"]

_POSITION = 1023
"""Of the token that is looked at in detail, unless another is asked for."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole model on some hardware.

    Attributes
    ----------
    model : WholeModel
        What is computed.
    recipe, params, coding
        How, and on what.
    image : Image
        What its memory would hold, with program and memory map.
    activities : callable
        Returns how sites fire for a token at a position: position to `Activities`.
    position : int
        Of the token that is looked at in detail.
    latency : int
        Of the memory, in cycles.
    words_a_cycle : float
        What the memory delivers: at most 1, the port's.
    grids : callable
        Returns the grid that a matrix is on, for recipes that keep it.
    """

    model: WholeModel
    recipe: Recipe
    params: HwParams
    coding: str | Mapping[str, str]
    image: Image
    activities: Callable[[int], Activities]
    position: int
    latency: int
    words_a_cycle: float = 1.0
    grids: Grids = no_grid

    @property
    def config(self) -> ModelConfig:
        """The model's shapes."""
        return self.model.config

    @property
    def program(self) -> Program:
        """The program."""
        return self.image.program

    @property
    def regions(self) -> dict[str, Region]:
        """The memory map."""
        return self.image.regions

    @property
    def positions(self) -> list[int]:
        """Positions whose tokens are predicted."""
        wanted = {0, 128, 1023, self.position, self.model.context - 1}
        return sorted(position for position in wanted if position < self.model.context)

    @property
    def memory_bytes(self) -> int:
        """First address beyond the last region."""
        return self.image.memory_bytes

    def bytes_of(self, kind: str) -> int:
        """Return the bytes of all regions of a kind (`compiler.passes.place.Region`)."""
        return sum(region.bytes for region in self.regions.values() if region.kind == kind)

    @cached_property
    def prediction(self) -> Prediction:
        """The time of the token at `position`."""
        return self.predict(self.position)

    def predict(self, position: int) -> Prediction:
        """Return the predicted time of the token at a position, head included."""
        found = costs(
            self.program,
            self.params,
            self.activities(position),
            position,
        )
        return predict(found, self.params, self.latency, self.words_a_cycle)

    @cached_property
    def products(self) -> list[Product]:
        """The matrix products of the token at `position`."""
        activities = self.activities(self.position)
        return products(self.config, self.recipe, activities, self.position, self.grids)


def make_plan(
    config: ModelConfig,
    *,
    params: HwParams,
    recipe: Recipe,
    coding: str | Mapping[str, str] = "csd",
    context: int | None = None,
    memory: int | None = None,
    activities: Callable[[int], Activities] | None = None,
    position: int | None = None,
    latency: int = LATENCY,
    words_a_cycle: float = 1.0,
    grids: Grids = no_grid,
) -> Plan:
    """Plan a whole model by the compiler's own passes; no weight is read.

    Parameters
    ----------
    config : ModelConfig
        The model.
    params : HwParams
        The hardware.
    recipe : Recipe
        How the model becomes spike-driven.
    coding : str or mapping
        ``unary``, ``bitwise`` or ``csd``: of all sites, or each one's by its name.
    context, memory : int, optional
        As for `compiler.programs.model.build_model`.
    activities : callable, optional
        From a position to how sites fire there; by default `compiler.predict.activity.assumed`.
    position : int, optional
        Of the token that is looked at in detail; by default 1,023, or the last one.
    latency : int
        Of the memory, in cycles.
    words_a_cycle : float
        What the memory delivers: at most 1, the port's.
    grids : callable
        Returns the grid that a matrix is on, for recipes that keep it.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    model = lower(config, recipe, params, context, grids)
    image = image_of_model(model, params, coding, memory)
    if position is None:
        position = min(_POSITION, model.context - 1)
    if not 0 <= position < model.context:
        raise ValueError(f"position must be 0 to {model.context - 1}, not {position}")
    return Plan(
        model=model,
        recipe=recipe,
        params=params,
        coding=coding,
        image=image,
        activities=activities or (lambda at: assumed(config, recipe, at)),
        position=position,
        latency=latency,
        words_a_cycle=words_a_cycle,
        grids=grids,
    )


def write_plan(
    plan: Plan,
    directory: str | Path,
    reports: Callable[[Path, dict], None] = lambda directory, manifest: None,
) -> Compiled:
    """Write a plan's program and manifest, whole or not at all; it holds no weights.

    `reports` is that of `compiler.programs.model.build_model`.

    Raises
    ------
    ValueError
        Where something else lies there.
    """
    with replacing(Path(directory)) as work:
        contents = {"program": emit_program(plan.image, work, fingerprint(plan.params))}
        what = manifests.about(plan.config, plan.recipe, plan.coding, {"weights": "none"})
        manifest = manifests.of_image(plan.image, contents, what)
        reports(work, manifest)
        manifests.write(manifest, work)
    return load(directory, plan.params)
