"""What a run on a board that ended with an error says: its name, where it was, what to do."""

from hw.contract.regs import REGISTERS, Error
from sim.device import Result
from spikeloom.board.board import Board
from spikeloom.board.errors import advice

__all__ = ["failure_of"]


def failure_of(board: Board, result: Result) -> list[str]:
    """Return the error of a run that has ended as one sentence; none of a good run."""
    if result.error is Error.NONE:
        return []
    where = f"at position {result.position}"
    if "FAULT_ADDRESS_LOW" in REGISTERS:
        where += f", address {board.wide('FAULT_ADDRESS'):#x}, id {board.register('FAULT_ID'):#x}"
    name = result.error.name
    return [f"the program ended on the board with error {name} {where}: {advice(result.error)}"]
