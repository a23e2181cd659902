"""What a plan's hardware would do on the board that it was picked for, for its report."""

from compiler.boards.pick import Picked
from compiler.programs.plan import Plan

__all__ = ["board"]

_NOTE = (
    "Predicted: nothing has run on this board. Cells are from a model of Yosys' figures, the clock "
    "is an assumption, energy is the ledger's (45 nm silicon with the board's memory), not an "
    "FPGA's (docs/boards.md)."
)
_CORES = (
    "{cores} cores that share each matrix are a projection: there is no such top yet. The program "
    "and all else on this page are for one of them, with the memory to itself."
)


def board(plan: Plan, picked: Picked) -> dict[str, object]:
    """Return what was picked, what its cores would do, and what the program does on one of them."""
    row = picked.row()
    cores = picked.choice.cores
    return {
        **row,
        "words_a_cycle": picked.words_a_cycle,
        "one_core_tokens_per_second": picked.hertz / plan.prediction.cycles,
        "note": _NOTE if cores == 1 else f"{_CORES.format(cores=cores)} {_NOTE}",
    }
