"""What an accelerator would do on a board, predicted.

Several cores on a board share a matrix's outputs; each encodes for itself. There is no such top
yet: figures of more than one core are a projection. Programs take one token at a time.
"""

from dataclasses import dataclass, replace

from compiler.boards.board import Board
from compiler.boards.fit import Choice, bound
from compiler.energy.ledger import joules, ledger, spike_design
from compiler.passes.model import lower
from compiler.passes.program import image_of_model
from compiler.predict.activity import CODING, known
from compiler.predict.costs import Cost, costs
from compiler.predict.counts import count
from compiler.predict.cycles import predict
from compiler.predict.workload import products
from golden.checkpoint.config import ModelConfig
from golden.measure.profile import Profile
from golden.model.prepare import Grids, no_grid
from golden.recipe.recipe import Recipe
from hw.contract.isa import Opcode

__all__ = ["Forecast", "forecast"]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a choice would do.

    Attributes
    ----------
    cycles : float
        Of a token at the position.
    bounds : dict of str to float
        Cycles that each part is busy for it; the longest binds. ``memory port``: a core's, a word a
        cycle. ``DRAM``: behind all ports. ``array``, ``encode``, ``vector unit``.
    tokens_per_second : float
        Of decoding, at the position.
    prompt_seconds, batched_seconds : float
        For a prompt of so many tokens, one at a time; and at least, were weights fetched once for
        as many tokens as the array has rows.
    joules_per_token : float
        By the ledger: an accelerator in 45 nm silicon with the board's memory, not an FPGA's.
    """

    cycles: float
    bounds: dict[str, float]
    tokens_per_second: float
    prompt_seconds: float
    batched_seconds: float
    joules_per_token: float

    @property
    def bound(self) -> str:
        """What limits."""
        return max(self.bounds, key=lambda name: self.bounds[name])


def forecast(
    board: Board,
    choice: Choice,
    config: ModelConfig,
    recipe: Recipe,
    position: int,
    prompt: int,
    profile: Profile | None = None,
    coding: str = CODING,
    grids: Grids = no_grid,
) -> Forecast:
    """Predict what a choice does: a token at a position, and a prompt; sites fire as in `fit`."""
    params, cores = choice.params, choice.cores
    if params is None:
        raise ValueError(choice.reason)
    hertz, words_a_cycle = board.clock_mhz.value * 1e6, board.rate(params, cores)
    context = min(max(position + 1, prompt), config.max_positions)
    model = lower(config, recipe, params, context, grids)
    program = image_of_model(model, params, coding).program

    activities = known(config, recipe, profile)

    def steps_at(at: int) -> list[Cost]:
        of_token = costs(program, params, activities(at), at)
        return [_shared(cost, cores) for cost in of_token]

    token = steps_at(position)
    prediction = predict(token, params, words_a_cycle=words_a_cycle)
    words = sum(cost.words for cost in token)
    bounds = {
        "memory port": words,
        "DRAM": words / board.offer(params, cores),
        "array": sum(cost.steps for cost in token),
        "encode": prediction.causes["encode"],
        "vector unit": prediction.causes["vector"],
    }
    whole = [predict(steps_at(at), params, words_a_cycle=words_a_cycle) for at in (0, prompt - 1)]
    head = whole[-1].layers[None]
    layers = [p.cycles - sum(p.layers[None].values()) for p in whole]
    middle = (prompt - 1) // 2
    at_once = (middle, params.tokens, False, profile, coding, grids)
    batched = bound(board, config, recipe, params, cores, *at_once)
    counts = count(
        config,
        products(config, recipe, activities(position), position, grids),
        params,
        coding,
        position,
    )
    return Forecast(
        cycles=prediction.cycles,
        bounds=bounds,
        tokens_per_second=hertz / prediction.cycles,
        prompt_seconds=(prompt * sum(layers) / 2 + sum(head.values())) / hertz,
        batched_seconds=prompt * batched / hertz,
        joules_per_token=joules(ledger(spike_design(coding), counts, params, board.dram)),
    )


def _shared(cost: Cost, cores: int) -> Cost:
    """Return what one core does of an instruction."""
    share = cores if cost.opcode is Opcode.MATMUL else 1
    return replace(cost, words=cost.words / share, steps=cost.steps / share)
