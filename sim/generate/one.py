"""A whole model on one device, and the functional device beside one that shows less."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.regs import Error
from sim.device import Registers, Result
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.generate.compiled import Opened, compiled_model
from sim.generate.outcome import Outcome, Run
from sim.generate.request import GenerateRequest
from sim.runs.tally import Tally

__all__ = ["OneDevice", "memory_with"]


class OneDevice:
    """One device with a whole model.

    Parameters
    ----------
    request : GenerateRequest
        The model and the device.
    say : callable
        Is told what is being done.
    until_the_end : ExitStack
        Holds the run's place.

    Attributes
    ----------
    opened : Opened
        The model.
    label : str
        What runs, for people.
    """

    def __init__(
        self, request: GenerateRequest, say: Callable[[str], None], until_the_end: ExitStack
    ) -> None:
        require_device(request.device)
        self._request, self.label = request, request.device
        self.opened: Opened = compiled_model(request, request.device, say, until_the_end)

    def run(self, run: Run) -> Outcome:
        """Run the program, and hold it against the functional device where that is asked for."""
        compiled, request = self.opened.compiled, self._request
        memory, tally = memory_with(compiled, run.ids), Tally(compiled)
        with run.clock.part("build"):
            options = Options(timing=request.timing, observe=tally, say=run.say)
            device = open_device(request.device, compiled.params, options)
        run.say(f"{request.device} device")
        words = compiled.token_words(memory)
        try:
            with run.clock.part("generate"):
                result = device.execute(
                    memory,
                    compiled.program_address,
                    compiled.params,
                    run.registers,
                    lambda position, token: run.text.take(position, token, device.cycles),
                )
        except HardwareFault as fault:
            return Outcome(result=None, words=words, failures=[str(fault)], tally=None)
        failures, tallied = [], result.counters
        if result.error is not Error.NONE:
            failures.append(
                f"the program ended on {request.device} at position {result.position} with "
                f"error {result.error.name}"
            )
        checked = request.check and request.device != "functional"
        if checked or not device.observes:
            run.say("functional device")
            expected, tally = memory_with(compiled, run.ids), Tally(compiled)
            with run.clock.part("functional"):
                reference = _functional(compiled, expected, run.registers, tally)
            tallied = reference.counters
            if checked:
                failures += _bytes_that_differ(compiled, expected, memory, request.device)
                failures += _counters_that_differ(reference, result, request.device)
        return Outcome(result=result, words=words, failures=failures, tally=tally, tallied=tallied)


def memory_with(compiled: Compiled, ids: list[int]) -> np.ndarray:
    """Return the memory before the start, with the prompt."""
    memory = compiled.image({})
    compiled.token_words(memory)[: len(ids)] = ids
    return memory


def _functional(
    compiled: Compiled, memory: np.ndarray, registers: Registers, tally: Tally
) -> Result:
    functional = open_device("functional", compiled.params, Options(observe=tally))
    return functional.execute(memory, compiled.program_address, compiled.params, registers)


def _bytes_that_differ(
    compiled: Compiled, expected: np.ndarray, memory: np.ndarray, device: str
) -> list[str]:
    differing = np.flatnonzero(memory != expected)
    if not differing.size:
        return []
    at = int(differing[0])
    place = compiled.place_of(at)
    sentence = (
        f"{differing.size} bytes of memory, the first at {place}: the functional device leaves "
        f"{expected[at]}, {device} {memory[at]}"
    )
    return [sentence]


def _counters_that_differ(reference: Result, result: Result, device: str) -> list[str]:
    return [
        f"counter {name}: the functional device says {value}, {device} says {got}"
        for name, value in reference.counters.items()
        if None not in (value, got := result.counters[name]) and value != got
    ]
