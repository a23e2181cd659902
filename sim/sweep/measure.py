"""One configuration: its program without weights, its cycles, area and energy. Runs on a worker."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from compiler.boards.area import CELLS, VARIED, estimate, extrapolated
from compiler.boards.board import boards
from compiler.boards.fit import misfit
from compiler.energy.ledger import GROUPS, joules, ledger, own_design
from compiler.passes.program import image_of_layers
from compiler.passes.schedule import rounds
from compiler.predict.counts import REQUANTIZER_MULTIPLICATIONS, Counts
from hw.contract import isa
from hw.contract.isa import Opcode
from hw.contract.params import HwParams
from hw.contract.presets import PRESETS
from sim.cycle.device import Batch, predict
from sim.device import Timing
from sim.functional.arithmetic import fired_groups
from sim.memories import IDEAL
from sim.sweep.firing import Firing
from sim.sweep.grid import Configuration

__all__ = ["FAMILY", "Conditions", "measure"]

FAMILY = "xc7"
"""Of the FPGA whose cells are counted where no board is named."""

_DRAM = "dram_ddr4"
_DRAM_GROUPS = ("weights", "cache", "vectors")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all configurations of a sweep are measured under.

    Attributes
    ----------
    timing : Timing
        Of the memory.
    board : str or None
        Key of `compiler.boards.board.boards`.
    """

    timing: Timing
    board: str | None = None


def measure(
    firing: Firing, configuration: Configuration, conditions: Conditions
) -> dict[str, object]:
    """Return the row of a configuration, see `sim.sweep.table.SCHEMA`.

    A configuration that cannot be built has a row with status ``refused`` and a reason.

    Raises
    ------
    HardwareFault
        Where the modelled hardware does not come to an end.
    ToolError
        Where the cycle model cannot be compiled.
    """
    try:
        params = configuration.params()
        instructions, memory_bytes = _program(configuration, params, firing)
    except ValueError as error:
        return {"status": "refused", "reason": str(error)}
    counters = predict(
        params,
        instructions,
        _batches(params, firing),
        timing=conditions.timing,
        program_address=0,
        memory_bytes=memory_bytes,
    )
    tokens = firing.prompt_tokens
    return {
        "status": "measured",
        **counters,
        "cycles_per_token": counters["cycles"] / tokens,
        **_cells(params, conditions.board),
        **_energy(configuration, params, firing, counters, conditions.board),
        **_on_board(params, counters["cycles"] / tokens, conditions),
    }


def _program(
    configuration: Configuration, params: HwParams, firing: Firing
) -> tuple[list[tuple[Opcode, dict[str, int]]], int]:
    """Return the instructions as the hardware decodes them, and the extent of memory."""
    tokens = firing.prompt_tokens
    image = image_of_layers(list(firing.stages), params, configuration.coding, tokens)
    steps = image.program.instructions
    slots = [isa.disassemble(isa.assemble(step.opcode, **step.fields)) for step in steps]
    return slots, image.memory_bytes


def _batches(params: HwParams, firing: Firing) -> list[Batch]:
    return [
        Batch(counts=counts[at : at + many], thresholds=thresholds[at : at + many])
        for counts, thresholds in zip(firing.counts, firing.thresholds, strict=True)
        for at, many in rounds(firing.prompt_tokens, params)
    ]


def _cells(params: HwParams, board: str | None) -> dict[str, object]:
    """Return the estimated cells; nothing for hardware that the model of area does not know."""
    others = [f.name for f in fields(HwParams) if f.name not in VARIED]
    known = {tuple(getattr(preset, name) for name in others) for preset in PRESETS.values()}
    family = boards()[board].family if board else FAMILY
    if tuple(getattr(params, name) for name in others) not in known:
        return {"fpga_family": family}
    area = estimate(params, family)
    cells = {cell: getattr(area, cell) for cell in CELLS}
    return {
        "fpga_family": family,
        **cells,
        "all_luts": area.all_luts,
        "area_is_extrapolated": extrapolated(params, family),
    }


def _energy(
    configuration: Configuration,
    params: HwParams,
    firing: Firing,
    counters: Mapping[str, int],
    board: str | None,
) -> dict[str, float]:
    """Return joules of a token by the ledger; nothing where it has no constant."""
    widths = {matrix.weight_width for stage in firing.stages for matrix in stage.matrices}
    design = own_design(params, configuration.coding, widths)
    if design is None:
        return {}
    beats = scaled = 0
    for stage, counts in zip(firing.stages, firing.counts, strict=True):
        row = sum(
            params.row_beats(outputs, matrix.weight_width)
            for matrix in stage.matrices
            for outputs in params.tiles(matrix.outputs)
        )
        for at, many in rounds(firing.prompt_tokens, params):
            fires = counts[at : at + many].any(axis=0)
            fires |= not params.skip_silent
            beats += row * int(np.count_nonzero(fires))
            for matrix in stage.matrices:
                if matrix.groups:
                    scaled += fired_groups(fires, matrix.groups.size) * many * matrix.outputs
    moved = counters["dram_bytes_read"] + counters["dram_bytes_written"]
    outputs = sum(matrix.outputs for stage in firing.stages for matrix in stage.matrices)
    tokens = firing.prompt_tokens
    counts = Counts(
        additions=counters["synaptic_operations"] / tokens,
        multiplications=counters["synaptic_operations"] / tokens,
        beats=beats / tokens,
        weight_bytes=counters["weight_bytes_read"] / tokens,
        # All other bytes, as they were counted: vectors, channel words, program.
        program_bytes=(moved - counters["weight_bytes_read"]) / tokens,
        encoded=sum(stage.channels for stage in firing.stages),
        vector_multiplications=REQUANTIZER_MULTIPLICATIONS * outputs,
        scaled=scaled / tokens,
    )
    entries = ledger(design, counts, params, boards()[board].dram if board else _DRAM)
    on_chip = [group for group in GROUPS if group not in _DRAM_GROUPS]
    return {
        "joules_per_token": joules(entries),
        "on_chip_joules_per_token": joules(entries, on_chip),
        "dram_joules_per_token": joules(entries, _DRAM_GROUPS),
    }


def _on_board(
    params: HwParams, cycles_per_token: float, conditions: Conditions
) -> dict[str, object]:
    """Return what a board makes of it: whether it fits, and tokens a second at its clock."""
    if conditions.board is None:
        return {}
    board = boards()[conditions.board]
    cells = _cells(params, conditions.board)
    lacks = []
    if "all_luts" not in cells:
        lacks.append("its area is not known")
    elif lack := misfit(estimate(params, board.family), board):
        lacks.append(f"it needs {lack}")
    if params.axi_data_width > board.port_width.value:
        lacks.append(
            f"a memory port of {params.axi_data_width} of {board.port_width.value:.0f} bits"
        )
    words_a_cycle = board.rate(params, 1)
    # With a DRAM's controller, its cycles hold what it does not deliver.
    slowed = words_a_cycle < 1 and conditions.timing.memory == IDEAL
    if slowed:
        lacks.append(f"memory delivers {words_a_cycle:.2f} words a cycle, not 1")
    speed = board.clock_mhz.value * 1e6 / cycles_per_token
    return {
        "memory_words_per_cycle": words_a_cycle,
        "misfit": " and ".join(lacks) or None,
        "tokens_per_second": None if slowed else speed,
    }
