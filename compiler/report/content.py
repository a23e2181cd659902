"""What a report holds, as plain JSON values."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compiler.boards.pick import Picked
from compiler.passes.place import REGION_ALIGNMENT
from compiler.predict.cycles import CAUSES, CLOCK_MHZ, Prediction
from compiler.programs.plan import Plan
from compiler.report.energy import energy
from golden.recipe.recipe import SITES
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Opcode
from hw.contract.presets import PRESETS

__all__ = ["content"]

_BOARD_NOTE = (
    "Predicted: nothing has run on this board. Cells are from a model of Yosys' figures, the clock "
    "is an assumption, energy is the ledger's (45 nm silicon with the board's memory), not an "
    "FPGA's (docs/boards.md)."
)
_CORES = (
    "{cores} cores that share each matrix are a projection: there is no such top yet. The program "
    "and all else on this page are for one of them, with the memory to itself."
)
_CLOCK_SOURCE = (
    "assumed for every preset, as the aim of edge on an FPGA; nothing is placed and routed, and "
    "--clock states another"
)


def content(
    plan: Plan,
    about: Mapping[str, object],
    picked: Picked | None = None,
    clock_mhz: float | None = None,
) -> dict[str, object]:
    """Return a plan's report.

    Parameters
    ----------
    plan : Plan
        What it is of.
    about : mapping
        Joins it as it is.
    picked : Picked, optional
        The board that the plan is for, where it is for one.
    clock_mhz : float, optional
        What the hardware is clocked with; by default as the board is, or `CLOCK_MHZ`.
    """
    word, clock = plan.params.axi_bytes, _clock(picked, clock_mhz)
    hertz = 1e6 * clock["megahertz"]
    first = plan.activities(plan.position)(0, "qkv")
    joules = energy(plan, "dram_ddr4" if picked is None else picked.board.dram)
    return {
        "format": 1,
        **about,
        "model": asdict(plan.config),
        "recipe": plan.recipe.name,
        "coding": plan.coding if isinstance(plan.coding, str) else dict(plan.coding),
        "preset": next((name for name, of in PRESETS.items() if of == plan.params), None),
        "params": plan.params.as_dict(),
        "fingerprint": fingerprint(plan.params),
        "context": plan.model.context,
        "position": plan.position,
        "latency_cycles": plan.latency,
        "clock": clock,
        "activity_source": first.source,
        "prediction": (
            "cycles are predicted from bytes, steps of the array and latencies "
            "(compiler.predict.cycles), on a memory of fixed latency"
        ),
        **({} if picked is None else {"board": _board(plan, picked)}),
        "program": {
            "slots": len(plan.program.instructions),
            "executed_a_token": len(plan.program.executed),
            "records_bytes": len(plan.program.records),
        },
        "memory": _memory(plan),
        "tokens": [_token(plan.predict(at), at, word, hertz) for at in plan.positions],
        "layers": [
            {"layer": layer, "cycles": _rounded(causes)}
            for layer, causes in plan.prediction.layers.items()
        ],
        "matrices": _matrices(plan),
        "products": _products(plan),
        "firing": _firing(plan),
        **({} if joules is None else {"energy": joules}),
    }


def _clock(picked: Picked | None, clock_mhz: float | None) -> dict[str, Any]:
    """Return the clock in megahertz, and where it is from."""
    if clock_mhz is not None:
        return {"megahertz": clock_mhz, "source": "as asked for with --clock"}
    if picked is not None:
        value = picked.board.clock_mhz
        return {"megahertz": value.value, "source": f"{picked.board.name}: {value.source}"}
    return {"megahertz": CLOCK_MHZ, "source": _CLOCK_SOURCE}


def _board(plan: Plan, picked: Picked) -> dict[str, object]:
    """Return what was picked, what its cores would do, and what the program does on one of them."""
    row = picked.row()
    cores = picked.choice.cores
    return {
        **row,
        "words_a_cycle": picked.words_a_cycle,
        "one_core_tokens_per_second": picked.hertz / plan.prediction.cycles,
        "note": _BOARD_NOTE if cores == 1 else f"{_CORES.format(cores=cores)} {_BOARD_NOTE}",
    }


def _memory(plan: Plan) -> dict[str, object]:
    kinds = dict.fromkeys(region.kind for region in plan.regions.values())
    return {
        "bytes": plan.memory_bytes,
        "alignment_bytes": REGION_ALIGNMENT,
        "by_kind": {kind: plan.bytes_of(kind) for kind in kinds},
        "padding_bytes": plan.memory_bytes - sum(map(plan.bytes_of, kinds)),
        "kv_cache_bytes": plan.bytes_of("cache"),
        "kv_cache_bytes_a_position": plan.bytes_of("cache") / plan.model.context,
        "regions": [
            {key: getattr(region, key) for key in ("name", "kind", "address", "bytes")}
            for region in plan.regions.values()
        ],
    }


def _token(found: Prediction, position: int, word: int, hertz: float) -> dict[str, object]:
    total = lambda name: sum(getattr(step.cost, name) for step in found.steps)  # noqa: E731
    return {
        "position": position,
        "cycles": round(found.cycles),
        "seconds": found.cycles / hertz,
        "tokens_per_second": hertz / found.cycles,
        "by_cause": _rounded(found.causes),
        "bytes_read": round(found.words * word),
        "weight_bytes": round(total("weight_words") * word),
        "dense_weight_bytes": round(total("dense_words") * word),
        "array_steps": round(total("steps")),
        "additions": round(total("additions")),
    }


def _rounded(causes: Mapping[str, float]) -> dict[str, int]:
    """Return whole cycles by cause whose sum is that of all, rounded.

    All are rounded down, but for those with the largest fractions, as many as the sum needs.
    """
    found = {cause: math.floor(causes[cause]) for cause in CAUSES}
    left = round(sum(causes[cause] for cause in CAUSES)) - sum(found.values())
    fractions = sorted(CAUSES, key=lambda cause: found[cause] - causes[cause])
    return found | {cause: found[cause] + 1 for cause in fractions[:left]}


def _matrices(plan: Plan) -> list[dict[str, object]]:
    """Return the tiles of each kind of matrix: they do not differ between layers but in bits."""
    found: dict[tuple, dict[str, Any]] = {}
    for stage in plan.model.stages:
        for matrix in stage.matrices:
            kind = matrix.name.rpartition(".")[2]
            key = (kind, matrix.channels, matrix.outputs, matrix.weight_width, matrix.groups)
            tiles = plan.params.tiles(matrix.outputs)
            entry = found.setdefault(
                key,
                {
                    "matrix": kind,
                    "layers": 0,
                    "channels": matrix.channels,
                    "outputs": matrix.outputs,
                    "weight_width": matrix.weight_width,
                    "group": matrix.groups and matrix.groups.size,
                    "scale_bits": matrix.groups and matrix.groups.bits,
                    "tiles": len(tiles),
                    "tile_outputs": tiles[0],
                    "last_tile_outputs": tiles[-1],
                    "row_segment_bytes": plan.params.row_bytes(tiles[0], matrix.weight_width),
                    "last_row_segment_bytes": plan.params.row_bytes(tiles[-1], matrix.weight_width),
                    "weight_bytes": plan.regions[f"{matrix.name}.weights"].bytes,
                },
            )
            entry["layers"] += 1
    return [*found.values()]


def _products(plan: Plan) -> list[dict[str, object]]:
    """Return each matrix product of the token, all batches of heads together."""
    word, found = plan.params.axi_bytes, {}
    for step in plan.prediction.steps:
        if step.cost.opcode is not Opcode.MATMUL:
            continue
        entry = found.setdefault(
            step.cost.name,
            {"product": step.cost.name, "layer": step.cost.layer, "channels": step.cost.channels}
            | dict.fromkeys(("dense_bytes", "touched_bytes", "array_steps", "additions"), 0.0)
            | {"cycles": 0.0},
        )
        entry["dense_bytes"] += step.cost.dense_words * word
        entry["touched_bytes"] += step.cost.weight_words * word
        entry["array_steps"] += step.cost.steps
        entry["additions"] += step.cost.additions
        entry["cycles"] += step.cycles
    whole = ("dense_bytes", "touched_bytes", "array_steps", "additions", "cycles")
    return [{**entry, **{name: round(entry[name]) for name in whole}} for entry in found.values()]


def _firing(plan: Plan) -> list[dict[str, object]]:
    activities, found = plan.activities(plan.position), []
    for layer in [*range(plan.config.layers), None]:
        for site in SITES:
            if (site == "head") != (layer is None):
                continue
            activity = activities(layer, site)
            found.append(
                {
                    "layer": layer,
                    "site": site,
                    "silent": round(activity.silent, 5),
                    "spikes": {c: round(s, 4) for c, s in activity.spikes.items()},
                }
            )
    return found
