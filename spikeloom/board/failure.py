"""What a run on a board that ended with an error says: its name, where it was, what to do."""

from hw.contract.regs import Error, FaultKind
from sim.device import Result
from spikeloom.board.board import Board
from spikeloom.board.errors import advice

__all__ = ["failure_of"]

_KIND_LSB, _CLIENT_MASK = 8, 0xFF  # of FAULT_ID


def failure_of(board: Board, result: Result) -> list[str]:
    """Return the error of a run that has ended as one sentence; none of a good run."""
    if result.error is Error.NONE:
        return []
    fault = board.register("FAULT_ID")
    where = f"at position {result.position}"
    if kind := fault >> _KIND_LSB:
        where += f", {FaultKind(kind).name.lower()} at address {board.wide('FAULT_ADDRESS'):#x}"
        if FaultKind(kind) is FaultKind.READ:
            where += f" by client {fault & _CLIENT_MASK}"
    name = result.error.name
    return [f"the program ended on the board with error {name} {where}: {advice(result.error)}"]
