"""A whole model on a board: a text continued, token by token, as `sim.generate` tells of it."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from compiler.artifact.program import Compiled
from sim.devices import Options, open_device
from sim.generate.compiled import Opened, compiled_model
from sim.generate.one import memory_with
from sim.generate.outcome import Outcome, Run
from sim.generate.request import GenerateRequest
from sim.runs.tally import Tally
from spikeloom.board.board import Board
from spikeloom.board.errors import BoardError
from spikeloom.board.failure import failure_of

__all__ = ["BoardRunner"]

_TOKEN_BYTES = 4


class BoardRunner:
    """A board with a whole model: what `sim.generate.generate` takes as a runner.

    Parameters
    ----------
    request : GenerateRequest
        The model.
    say : callable
        Is told what is being done.
    until_the_end : ExitStack
        Holds the run's place, and the board.
    connect : callable
        Opens the board that a compiled model is to run on, in a stack that closes it.

    Attributes
    ----------
    opened : Opened
        The model.
    label : str
        What runs, for people.
    """

    label = "board"

    def __init__(
        self,
        request: GenerateRequest,
        say: Callable[[str], None],
        until_the_end: ExitStack,
        connect: Callable[[Compiled, ExitStack], Board],
    ) -> None:
        self._check = request.check
        self.opened: Opened = compiled_model(request, self.label, say, until_the_end)
        self._connect, self._stack = connect, until_the_end

    def run(self, run: Run) -> Outcome:
        """Load the model, start it, and take the tokens as they come."""
        compiled = self.opened.compiled
        memory = memory_with(compiled, run.ids)
        words, tokens = compiled.token_words(memory), compiled.regions["tokens"]
        seen = len(run.ids)
        board = self._connect(compiled, self._stack)

        def take(first: int, end: int) -> None:
            place = tokens.address + _TOKEN_BYTES * first
            raw = board.transport.read_memory(place, _TOKEN_BYTES * (end - first))
            words[first:end] = np.frombuffer(raw, "<u4")

        def look(position: int) -> None:
            nonlocal seen
            if position >= seen:
                take(seen, position + 1)
                for at in range(seen, position + 1):
                    run.text.take(at, int(words[at]))
                seen = position + 1

        try:
            with run.clock.part("load"):
                board.load(compiled)
                prompt = words[: len(run.ids)].tobytes()
                board.transport.write_memory(tokens.address, prompt)
            run.say("board")
            with run.clock.part("generate"):
                result = board.start_and_wait(compiled.program_address, run.registers, look)
            take(0, min(result.position + 2, len(words)))
        except BoardError as error:
            return Outcome(result=None, words=words, failures=[str(error)], tally=None)
        failures = failure_of(board, result)
        if not self._check:
            return Outcome(
                result=result, words=words, failures=failures, tally=None, tallied=result.counters
            )
        run.say("functional device")
        tally, expected = Tally(compiled), memory_with(compiled, run.ids)
        with run.clock.part("functional"):
            functional = open_device("functional", compiled.params, Options(observe=tally))
            reference = functional.execute(
                expected, compiled.program_address, compiled.params, run.registers
            )
        failures += [
            f"counter {name}: the functional device says {value}, the board {got}"
            for name, value in reference.counters.items()
            if None not in (value, got := result.counters[name]) and value != got
        ]
        return Outcome(
            result=result, words=words, failures=failures, tally=tally, tallied=reference.counters
        )
