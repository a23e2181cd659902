"""What several commands make of their options: the board, and the hardware that it has."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from hw.contract.params import HwParams
from hw.contract.presets import PRESETS, preset
from spikeloom.board.board import Board
from spikeloom.board.errors import BoardError
from spikeloom.board.ways import Bases, bases_of, is_simulated, open_transport
from spikeloom.board.words import bus_address

__all__ = ["SIMULATED_PRESET", "Connection"]

SIMULATED_PRESET = "test"
"""Of a simulated board, where none is named."""


class Connection:
    """The board that the options name, opened when it is wanted, once.

    Parameters
    ----------
    options : Namespace
        With those of `spikeloom.board.commands.grammar`.
    stack : ExitStack
        Closes it.
    say, progress : callable
        As `spikeloom.board.board.Board` takes them.
    undisturbed : bool
        The same.

    Attributes
    ----------
    simulated : bool
        Whether the board is made for the command.
    memory_bytes : int
        Of the board's memory; 0 where it does not say.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        stack: ExitStack,
        say: Callable[[str], None],
        progress: Callable[[int, int], None],
        *,
        undisturbed: bool = False,
    ) -> None:
        self._options, self._stack = options, stack
        self._say = say
        self._told = {
            "say": say,
            "progress": progress,
            "patience": options.patience,
            "watchdog": options.watchdog,
            "undisturbed": undisturbed,
        }
        if not 0 <= options.watchdog < 1 << 32:
            most = (1 << 32) - 1
            raise ValueError(f"--watchdog must be 0 to {most} cycles, not {options.watchdog}")
        if not options.patience > 0:
            raise ValueError(f"--patience must be above 0 seconds, not {options.patience:g}")
        self._bases = _bases(options)
        self._board: Board | None = None
        self.simulated: bool = is_simulated(options.transport)
        self.memory_bytes: int = self._bases.memory_bytes or 0

    def board(self, params: HwParams | None = None, memory_bytes: int = 0) -> Board:
        """Return the board; a simulated one is made of `params`, with so much memory."""
        if self.memory_bytes and memory_bytes > self.memory_bytes:
            raise ValueError(
                f"{memory_bytes:,} bytes of memory are needed, and {self._options.csr} says that "
                f"the board has {self.memory_bytes:,}: choose a smaller model, a shorter context "
                "or fewer --memory-bytes"
            )
        if self._board is None:
            way = self._options.transport
            hardware = params or preset(SIMULATED_PRESET)
            transport = self._stack.enter_context(
                open_transport(way, self._bases, hardware, memory_bytes, self._say)
            )
            self._board = self._stack.enter_context(Board(transport, **self._told))
        return self._board

    def params(self) -> HwParams:
        """Return the hardware: what is asked for, or what the board says it has."""
        if self._options.preset is not None:
            return preset(self._options.preset)
        return preset(SIMULATED_PRESET) if self.simulated else self.board().identity.params

    def preset(self) -> str:
        """Return the name of the preset that the hardware is.

        Raises
        ------
        BoardError
            Where it is none.
        """
        params = self.params()
        for name, known in PRESETS.items():
            if known == params:
                return name
        raise BoardError(
            "the board's hardware is no preset: build the model for it (python -m compiler build "
            "--hardware spikeloom_top.json), and give the directory with --compiled"
        )


def _bases(options: argparse.Namespace) -> Bases:
    bases = bases_of(options.csr) if options.csr else Bases()
    given = {"registers": options.registers, "memory": options.memory_base}
    for name, text in given.items():
        if text is not None:
            bases = replace(bases, **{name: _address(text)})
    return bases


def _address(text: str) -> int:
    try:
        return bus_address(int(text, 0), bits=64)
    except ValueError:
        message = f"an address is a multiple of 4 such as 0x40000000, not {text!r}"
        raise ValueError(message) from None
