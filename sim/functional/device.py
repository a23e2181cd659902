"""The functional device: executes a program out of memory, with the hardware's bits and counts.

It has no notion of time: counters of cycles are None.
"""

from collections.abc import Callable, Mapping

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.params import HwParams
from hw.contract.regs import Error
from sim.device import Finished, Registers, Result
from sim.functional.machine import Machine, Observation

__all__ = ["Functional", "Observation", "execute"]


class Functional:
    """The functional device; see `sim.device.Device` and `sim.device.WholeDevice`.

    Parameters
    ----------
    observe : callable, optional
        Told an `Observation` after each instruction.
    """

    name = "functional"

    def __init__(self, observe: Callable[[Observation], None] | None = None) -> None:
        self._observe = observe

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute the program once, from a fresh memory; see `sim.device.Device.run`."""
        memory = compiled.image(inputs)
        counters, error = execute(memory, compiled.program_address, compiled.params, self._observe)
        outputs = {name: compiled.read(memory, name) for name in compiled.outputs}
        return Result(outputs=outputs, counters=counters, error=error)

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers,
        on_token: Callable[[int, int], None] = lambda _position, _token: None,
    ) -> Finished:
        """Execute a program in place; see `sim.device.WholeDevice.execute`."""
        return Machine(memory, params, registers, self._observe, on_token).run(program)


def execute(
    memory: np.ndarray,
    program: int,
    params: HwParams,
    observe: Callable[[Observation], None] | None = None,
) -> tuple[dict[str, int | None], Error]:
    """Execute a program that needs no registers in place; returns counters and error."""
    finished = Functional(observe).execute(memory, program, params, Registers())
    return finished.counters, finished.error
