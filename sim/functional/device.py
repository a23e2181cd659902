"""The functional device: executes a program out of memory, with the hardware's bits and counts.

It has no notion of time: counters of cycles are None.
"""

from collections.abc import Callable

import numpy as np

from hw.contract.params import HwParams
from sim.device import Device, OnToken, Registers, Result
from sim.functional.machine import Machine, Observation

__all__ = ["Functional", "Observation"]


class Functional(Device):
    """The functional device.

    Parameters
    ----------
    observe : callable, optional
        Told an `Observation` after each instruction.
    """

    name = "functional"

    def __init__(self, observe: Callable[[Observation], None] | None = None) -> None:
        self._observe = observe

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers | None = None,
        on_token: OnToken = lambda _position, _token: None,
    ) -> Result:
        """Execute a program in place; see `sim.device.Device.execute`."""
        set_first = registers or Registers()
        return Machine(memory, params, set_first, self._observe, on_token).run(program)
